"""Generates random policies from parts (heads, bodies, conditions and uses) reproducible by seed.

`corpus.py` drops the policies that OPA does not compile.
"""

import random

HOW_MANY = 420

# Statements that bind k (a key) and e (an element).
GENERATORS = [
    "some k, e in input.x.o",
    "some k, e in input.x.list",
    "some k, e in data.limits",
    "some k, es in data.grants; some e in es",
    "some u in data.users; k := u.id; e := u.team",
    "some u in data.users; k := u.team; e := u.id",
    "some u in data.users; k := u.id; some e in u.roles",
    "some e in input.x.roles; k := e",
    "some i, e in input.x.names; k := e",
    "k := input.x.k; e := input.x.n",
    "some k; e := input.x.o[k]",
    "e := data.users[k].id",
    "some k, row in data.matrix; some e in row",
    "some k, r in data.roles; e := r.level",
    "some k in object.keys(data.roles); e := data.roles[k].can[_]",
    "[k, e] := input.x.names",
    "some k, e in {\"a\": input.x.n, \"b\": input.x.s}",
    "k := input.principal.id; some e in data.grants[k]",
]

# Conditions over k and e, and over nothing.
CONDITIONS = [
    "true",
    "k != \"b\"",
    "e != 1",
    "not e == 1",
    "not k == input.x.k",
    "input.x.flag",
    "not input.x.flag",
    "not input.x.missing",
    "not data.blocks[input.principal.id]",
    "not data.roles[input.x.s]",
    "not data.roles[e]",
    "not data.limits[k]",
    "input.x.s in data.roles.editor.can",
    "not input.x.s in data.roles.editor.can",
    "not e in input.x.roles",
    "e in [\"read\", \"viewer\", 1, \"a\"]",
    "count(input.x.list) > 1",
    "not count(input.x.list) > 1",
    "not startswith(input.action.path, \"/api\")",
    "startswith(input.action.path, \"/api\")",
    "every s in input.resource.scopes { s in [\"read\", \"write\"] }",
    "every r in [1, 2] { r > 0; not r == input.x.n }",
    "count([y | some y in input.x.list; y == e]) > 0",
    "not [y | some y in input.x.list; y == e] == []",
    "input.x.n > 0",
    "not input.x.n > 0",
    "input.x.n = 7",
    "e = input.x.n",
    "some z in [e, k]; z == \"a\"",
    "not helper",
    "helper",
    "level == 2",
    "not level",
    "helper with input.x.flag as true",
    "not helper with input.x.flag as true",
    "not helper with data.limits as {\"read\": 1}",
    "is_good(e)",
    "not is_good(e)",
    "not is_good(input.x.n)",
    "size(input.x.list) == 3",
    "not size(input.x.list) == 3",
    "object.get(input.x, \"k\", \"none\") != \"none\"",
    "e == data.limits.read",
    "y := input.x.o[k]; y != null",
    "{y | some y in input.x.roles} & {\"viewer\"} != set()",
    "regex.match(\"^a\", input.x.k)",
    "not regex.match(\"^a\", input.x.k)",
    "lower(input.x.s) == input.x.s",
    "input.x.list[_] == e",
    "input.x.o[k] == e",
    "count([1 | data.limits[k]]) > 0",
    "not count([1 | data.limits[k]]) > 0",
    "not {y | y := data.limits[k]} == set()",
    "every z in [1, 2] { data.limits[k] > z }",
    "every z in [1, 2] { not data.limits[k] == z }",
    "every z in [k, e] { z != \"a\" }",
    "every z in [1, 2] { z != e }",
    "every z in input.x.roles { not k == z }",
    "every z in [1, 2] { some w in input.x.names; w != k }",
    "every z in [1, 2] { every w in [1, 2] { input.x.o[k] } }",
    "every z in [1, 2] { [w | w := data.users[_].id; w == k] != [] }",
    "every i, z in input.x.list { not data.users[i].id == k }",
    "not [w | some w in data.users; every r in w.roles { r == e }] == []",
    "some z; data.users[z].id == k; not data.users[z].team == \"a\"",
    "data.users[z].id == k; every r in data.users[z].roles { r != \"admin\" }",
    "[z, 1] = [e, 1]; not z == 2",
    "{y | y := input.x.o[k]} != {e}",
    "object.get(input.x.o, k, 0) == 1",
    "not object.get(input.x.o, k, 0) == 1",
    "z := [y | y := data.users[_].id; y == k]; count(z) == 1",
    "not input.x.o[k] == data.limits[k]",
    "not data.users[0].id == k",
    "w := data.roles[e].level; not w == 2",
    "not is_good(input.x.o[k])",
    "not {\"a\": k} == {\"a\": input.x.k}",
    "not [k, e] == input.x.names",
    "not k in {\"a\", input.x.missing}",
    "not input.x.n + 1 == 2",
    "(e in input.x.roles) == true",
    "b := k in input.x.names; b == false",
]

HELPERS = [
    "helper if input.x.flag == true",
    "default helper := false\nhelper if data.limits.read > 5",
    "helper if { some r in input.x.roles; data.roles[r].level > 1 }",
    "helper := input.x.flag",
    "helper if not data.blocks[input.principal.id]",
]
LEVELS = [
    "level := 1 if input.x.flag == true\nlevel := 2 if input.x.k == \"b\"",
    "default level := 0\nlevel := 2 if input.x.n > 5",
    "level := 1 if { input.x.n == 1 } else := 2 if { input.x.n == 7 }",
    "level := data.roles[input.x.roles[0]].level",
]
GOODS = [
    "is_good(x) if x == \"a\"\nis_good(x) if x == 1",
    "default is_good(_) := false\nis_good(x) if x == \"viewer\"",
    "is_good(x) := true if { is_number(x) } else := false if { x == \"b\" }",
    "is_good(\"a\")\nis_good(x) if data.limits[x]",
    "is_good(x) if { some y in [x]; not y == \"b\" }",
    "is_good(x) if not data.limits[x]",
]
SIZES = [
    "size(x) := count(x)",
    "default size(_) := 0\nsize(x) := count(x) if is_array(x)",
    "size(x) := n if { n := count([1 | some _ in x]) }",
]

# Heads of p over k and e, with the way to look one of them up.
HEADS = [
    ("p contains e", "p[{}]", "{} in p"),
    ("p contains k", "p[{}]", "{} in p"),
    ("p contains [k, e]", "p[[\"a\", {}]]", "[\"a\", {}] in p"),
    ("p[k] := e", "p[{}]", "p[{}]"),
    ("p[k]", "p[{}]", "p[{}]"),
    ("p[k] := [e]", "p[{}]", "p[{}] == [1]"),
    ("p[k] contains e", "p[{}]", "\"read\" in p[{}]"),
    ("p[e] contains k", "p[{}]", "\"a\" in p[{}]"),
    ("p[k][e] := 1", "p[{}].read", "p[{}].a"),
    ("p[k][e] contains 1", "p[{}].read", "1 in p[{}].a"),
    ("p.q[k] := e", "p.q[{}]", "p.q[{}]"),
    ("p.q[k] contains e", "p.q[{}]", "\"read\" in p.q[{}]"),
    ("p[k].q := e", "p[{}].q", "p[{}].q == 1"),
    ("p[k].q contains e", "p[{}].q", "\"read\" in p[{}].q"),
    ("p[k] := {\"v\": e}", "p[{}].v", "p[{}].v == 1"),
    ("p := e", "p == {}", "p == {}"),
    ("p := [k, e]", "p[1] == {}", "{} in p"),
    ("p", "p", "p"),
    ("p := false", "p", "p == false"),
    ("p contains input.x.o[k]", "p[{}]", "{} in p"),
    ("p[k] := data.limits[k]", "p[{}]", "p[{}] == 10"),
    ("p[k] := lower(e)", "p[{}]", "p[{}]"),
    ("p contains count(e)", "p[{}]", "{} in p"),
]

KEYS = ["input.x.k", "input.x.s", "input.principal.id", "input.x.missing", "\"a\"", "\"read\"", "input.x.n"]

USES = [
    "v := p",
    "allow if {lookup}",
    "allow if not {lookup}",
    "allow if {test}",
    "allow if not {test}",
    "allow if count(p) > 1",
    "allow if not count(p) > 1",
    "v := [y | some y in p]",
    "v := [[i, y] | some i, y in p]",
    "allow if { some y in p; y == \"viewer\" }",
    "allow if every y in p { y != \"a\" }",
    "deny if {lookup}\nallow if not deny",
    "default deny := false\ndeny if {test}\nallow if deny == false",
    "allow if { x := {key}; p[x] }",
    "allow if { x := {key}; not p[x] }",
    "v := {lookup}",
    "v := {y | y := p[_]}",
    "allow if { p; input.x.flag == true }",
    "allow if { some y in [1, 2]; y == input.x.n; not {lookup} }",
    "allow if {lookup} with input.x.k as \"a\"",
    "allow if not {lookup} with input.x.k as \"a\"",
    "d := \"allow\" if { {lookup} } else := \"deny\"\nresult := {\"decision\": d, \"evaluation_status\": \"complete\", \"determining_policies\": [], \"diagnostics\": []}",
    "f(x) if p[x]\nallow if f({key})",
    "f(x) if p[x]\nallow if not f({key})",
    "default f(_) := \"none\"\nf(x) := p[x]\nv := f({key})",
]


def one(dice):
    head, lookup, test = dice.choice(HEADS)
    rules = []
    for _ in range(dice.choice([1, 1, 1, 2])):
        body = [dice.choice(GENERATORS), *dice.sample(CONDITIONS, dice.choice([0, 1, 1, 2]))]
        if dice.random() < 0.2:
            body.reverse()
        rules.append(f"{head} if {{ {'; '.join(body)} }}")
    if dice.random() < 0.15 and head.startswith("p contains"):
        rules.append('p contains "a"')
    if dice.random() < 0.2 and head in ("p", "p := e", "p := false"):
        rules.insert(0, "default p := 1")
    key = dice.choice(KEYS)
    use = dice.choice(USES)
    use = use.replace("{lookup}", lookup.replace("{}", key)).replace("{test}", test.replace("{}", key))
    use = use.replace("{key}", key)
    text = "\n".join([*rules, use])
    for word, choices in [("helper", HELPERS), ("level", LEVELS), ("is_good", GOODS), ("size(", SIZES)]:
        if word in text.replace(".level", ""):
            text = dice.choice(choices) + "\n" + text
    return text + "\n"


def policies(seed, how_many):
    dice = random.Random(seed)
    for n in range(how_many):
        yield f"generated_{n:03}", one(dice)
