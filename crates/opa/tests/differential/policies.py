"""The policies of the differential test, written by hand: idioms of Rego by topic.

A policy defines `result`, or `allow`, or `v`: `corpus.py` adds the rest. Each line between two
`--` lines is one policy; the word after `--` names it.
"""

# Data of every policy that does not define its own.
DATA = {
    "blocks": {"app-1": ["fraud"], "app-3": []},
    "grants": {"app-1": ["read", "fraud"], "app-2": ["write"], "root": ["read", "write", "admin"]},
    "roles": {
        "admin": {"can": ["read", "write", "delete"], "level": 3},
        "editor": {"can": ["read", "write"], "level": 2},
        "viewer": {"can": ["read"], "level": 1},
    },
    "users": [
        {"id": "app-1", "roles": ["viewer"], "team": "a", "age": 30},
        {"id": "app-2", "roles": ["editor", "viewer"], "team": "b", "age": 41},
        {"id": "root", "roles": ["admin"], "team": "a"},
    ],
    "teams": {"a": {"lead": "root", "tags": ["x", "y"]}, "b": {"lead": "app-2", "tags": []}},
    "matrix": [[1, 2], [3, 4], []],
    "tree": {"root": ["a", "b"], "a": ["c"], "b": [], "c": []},
    "limits": {"read": 10, "write": 5},
    "mixed": [1, "a", None, True, {"k": 1}, [2]],
    "flags": {"on": True, "off": False, "nil": None},
    "prefixes": ["/internal", "/admin"],
    "nested": {"a": {"b": {"c": [{"d": 1}, {"d": 2}]}}},
}

# Inputs of each policy, merged into a valid input of the contract; see `corpus.py`.
INPUTS = [
    {"id": "app-1", "path": "/api/reports", "scopes": ["read"],
     "x": {"n": 1, "s": "read", "list": [1, 2, 3], "o": {"a": 1, "b": 2}, "flag": True,
           "roles": ["viewer"], "k": "a", "names": ["alice", "bob"]}},
    {"id": "app-2", "path": "/admin/users", "scopes": ["write", "read"],
     "x": {"n": 7, "s": "write", "list": ["a", "b", "a"], "o": {"a": 1, "b": 1, "c": None}, "flag": False,
           "roles": ["editor", "viewer"], "k": "b", "names": []}},
    {"id": "root", "path": "/", "scopes": [],
     "x": {"n": -2.5, "s": "", "list": [], "o": {}, "flag": None, "roles": ["admin", "nobody"],
           "k": "zz", "names": ["bob", "bob", "eve"]}},
    {"id": "app-3", "path": "/internal/x/y", "scopes": ["delete"],
     "x": {"n": 0, "s": "admin:all", "list": [[1, 2], [3]], "o": {"a": {"b": [1, 2]}, "x": "y"},
           "flag": True, "roles": [], "k": "c", "names": ["x-1", "x-2"]}},
    {"id": "nobody", "path": "/api/", "scopes": ["read", "write", "delete"], "x": {}},
    {"id": "app-1", "path": "/api/a%2Fb", "scopes": ["read"],
     "x": {"n": "seven", "s": 5, "list": {"a": 1}, "o": ["p", "q"], "flag": "true",
           "roles": "admin", "k": 1, "names": {"a": "alice"}}},
    {"id": "app-2", "path": "/Api", "scopes": ["read"], "x": None},
]

POLICIES = r'''
-- blocked_partial_object_of_sets
blocked[u] contains why if { some u, ws in data.blocks; some why in ws }
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []} if not blocked[input.principal.id]
-- grants_partial_object_of_sets
grants[u] contains w if { some u, ws in data.grants; some w in ws }
allow if "fraud" in grants[input.principal.id]
-- grants_membership_of_input
grants[u] contains w if { some u, ws in data.grants; some w in ws }
allow if input.x.s in grants[input.principal.id]
-- grants_iterated
grants[u] contains w if { some u, ws in data.grants; some w in ws }
v := [[u, w] | some u, ws in grants; some w in ws]
-- grants_whole
grants[u] contains w if { some u, ws in data.grants; some w in ws }
v := grants
-- grants_negated_member
grants[u] contains w if { some u, ws in data.grants; some w in ws }
allow if not "write" in grants[input.principal.id]
-- grants_counted
grants[u] contains w if { some u, ws in data.grants; some w in ws }
allow if count(grants[input.principal.id]) > 1
-- grants_two_rules
grants[u] contains w if { some u, ws in data.grants; some w in ws }
grants[u] contains "extra" if { some u, _ in data.blocks }
v := grants
-- grants_constant_key
grants["app-1"] contains w if { some w in ["a", "b"] }
grants["app-2"] contains w if { some w in input.x.list }
v := grants
-- grants_of_input_key
grants[input.principal.id] contains w if { some w in ["a", "b"] }
v := grants
-- set_two_deep
acl[t][u] contains r if { some x in data.users; t := x.team; u := x.id; some r in x.roles }
v := acl
-- set_two_deep_lookup
acl[t][u] contains r if { some x in data.users; t := x.team; u := x.id; some r in x.roles }
allow if "viewer" in acl.a[input.principal.id]
-- set_two_deep_negated
acl[t][u] contains r if { some x in data.users; t := x.team; u := x.id; some r in x.roles }
allow if not acl.a[input.principal.id]
-- set_three_deep
acl[t][u][n] contains r if { some x in data.users; t := x.team; u := x.id; some n, r in x.roles }
v := acl
-- set_dotted_deep
acl.by.team[t] contains u if { some x in data.users; t := x.team; u := x.id }
v := acl
-- set_dotted_deep_lookup
acl.by.team[t] contains u if { some x in data.users; t := x.team; u := x.id }
allow if input.principal.id in acl.by.team.a
-- set_constant_after_variable
acl[t].members contains u if { some x in data.users; t := x.team; u := x.id }
v := acl
-- set_constant_after_variable_lookup
acl[t].members contains u if { some x in data.users; t := x.team; u := x.id }
allow if input.principal.id in acl.a.members
-- object_of_values
level[r] := l if { some r, o in data.roles; l := o.level }
v := level
-- object_of_values_lookup
level[r] := l if { some r, o in data.roles; l := o.level }
allow if { some r in input.x.roles; level[r] >= 2 }
-- object_of_values_negated
level[r] := l if { some r, o in data.roles; l := o.level }
allow if not level[input.x.s]
-- object_of_true
is_lead[u] if { some t in data.teams; u := t.lead }
allow if is_lead[input.principal.id]
-- object_of_true_whole
is_lead[u] if { some t in data.teams; u := t.lead }
v := is_lead
-- object_two_deep
at[t][u] := n if { some x in data.users; t := x.team; u := x.id; n := count(x.roles) }
v := at
-- object_two_deep_lookup
at[t][u] := n if { some x in data.users; t := x.team; u := x.id; n := count(x.roles) }
allow if at.b[input.principal.id] == 2
-- object_two_deep_negated
at[t][u] := n if { some x in data.users; t := x.team; u := x.id; n := count(x.roles) }
allow if not at.a[input.principal.id]
-- object_constant_after_variable
at[u].team := t if { some x in data.users; t := x.team; u := x.id }
v := at
-- object_constant_after_variable_lookup
at[u].team := t if { some x in data.users; t := x.team; u := x.id }
allow if at[input.principal.id].team == "a"
-- object_constant_after_variable_two_rules
at[u].team := t if { some x in data.users; t := x.team; u := x.id }
at[u].age := t if { some x in data.users; t := x.age; u := x.id }
v := at
-- object_constant_after_variable_negated
at[u].team := t if { some x in data.users; t := x.team; u := x.id }
allow if not at[input.principal.id].team
-- object_variable_in_the_middle
at.by[u].team := t if { some x in data.users; t := x.team; u := x.id }
v := at
-- object_deep_mixed_true
can[u].read if { some u, ws in data.grants; "read" in ws }
can[u].write if { some u, ws in data.grants; "write" in ws }
v := can
-- object_deep_mixed_true_lookup
can[u].read if { some u, ws in data.grants; "read" in ws }
can[u].write if { some u, ws in data.grants; "write" in ws }
allow if can[input.principal.id].write
-- object_key_conflict
at[x.team] := x.id if { some x in data.users }
v := at
-- object_key_conflict_caught_by_not
at[x.team] := x.id if { some x in data.users }
allow if not at[input.x.k]
-- object_key_conflict_by_input
at[k] := n if { some n, k in input.x.names }
allow if at.bob
-- object_key_conflict_two_rules
at[k] := 1 if { some k in input.x.names }
at.bob := 2
allow if at.bob
-- object_key_equal_twice
at[k] := 1 if { some k in input.x.names }
at.bob := 1
v := at
-- object_comprehension_conflict
v := {x.team: x.id | some x in data.users}
-- object_comprehension_conflict_by_input
v := {k: n | some n, k in input.x.names}
-- object_comprehension_no_conflict
v := {k: 1 | some k in input.x.names}
-- object_comprehension_conflict_in_not
allow if not {k: n | some n, k in input.x.names}.eve
-- object_literal_key_twice
v := {"a": 1, input.x.k: 2}
-- object_literal_key_twice_other_order
v := {input.x.k: 2, "a": 1}
-- object_literal_key_twice_equal
v := {"a": 1, input.x.k: 1}
-- object_literal_two_variables
v := {input.x.k: 1, input.x.s: 2}
-- complete_conflict
level := 1 if "viewer" in input.x.roles
level := 2 if "editor" in input.x.roles
v := level
-- complete_conflict_equal
level := 1 if "viewer" in input.x.roles
level := 1 if "editor" in input.x.roles
v := level
-- complete_conflict_in_not
level := 1 if "viewer" in input.x.roles
level := 2 if "editor" in input.x.roles
allow if not level
-- complete_conflict_in_not_compare
level := 1 if "viewer" in input.x.roles
level := 2 if "editor" in input.x.roles
allow if not level == 2
-- complete_conflict_in_one_rule
who := x.id if { some x in data.users; x.team == input.x.k }
v := who
-- complete_conflict_with_default
default level := 0
level := 1 if "viewer" in input.x.roles
level := 2 if "editor" in input.x.roles
v := level
-- complete_conflict_in_array
v := [level, 1]
level := 1 if "viewer" in input.x.roles
level := 2 if "editor" in input.x.roles
-- function_conflict
f(x) := 1 if x > 0
f(x) := 2 if x > 5
v := f(input.x.n)
-- function_conflict_in_not
f(x) := 1 if x > 0
f(x) := 2 if x > 5
allow if not f(input.x.n) == 3
-- function_conflict_swallowed
g(x) := 1 if x > 0
g(x) := 2 if x > 5
f(x) if g(x) == 1
f(x) if x > 6
allow if f(input.x.n)
-- function_default
default f(_) := "none"
f(x) := "some" if x in data.roles.admin.can
v := f(input.x.s)
-- function_default_is_false
default is_ok(_) := false
is_ok(x) if x > 5
allow if not is_ok(input.x.n)
-- function_default_two_arguments
default f(_, _) := 0
f(a, b) := a if a == b
v := f(input.x.n, 7)
-- function_default_undefined_argument
default f(_) := "none"
f(x) := x if x == 7
v := [f(1), f(7)]
-- function_default_of_missing_input
default f(_) := "none"
f(x) := x if x == 7
v := f(input.x.missing)
-- function_default_in_not
default f(_) := false
f(x) if x == input.x.n
allow if not f(7)
-- function_default_object
default f(_) := {"ok": false}
f(x) := {"ok": true} if x == "read"
allow if f(input.x.s).ok
-- function_default_in_another
default f(_) := 0
f(x) := x if x > 3
g(x) := f(x) + 1
v := g(input.x.n)
-- function_several
f(x) := "neg" if x < 0
f(x) := "zero" if x == 0
f(x) := "pos" if x > 0
v := f(input.x.n)
-- function_pattern_literal
f("read") := 1
f("write") := 2
v := f(input.x.s)
-- function_pattern_array
f([a, b]) := a + b
v := [f(m) | some m in data.matrix]
-- function_pattern_array_constant
f(["a", x]) := x
f(["b", x]) := [x]
v := [f(["a", 1]), f(["b", 2])]
-- function_pattern_object
f({"id": id, "team": "a", "roles": _}) := id
v := [f(u) | some u in [{"id": 1, "team": "a", "roles": 2}, {"id": 3, "team": "b", "roles": 4}]]
-- function_pattern_input
f(x) := y if { [x, y] = [input.x.s, 1] }
v := f("read")
-- function_boolean
is_member(u, t) if { some x in data.users; x.id == u; x.team == t }
allow if is_member(input.principal.id, "a")
-- function_boolean_in_not
is_member(u, t) if { some x in data.users; x.id == u; x.team == t }
allow if not is_member(input.principal.id, "a")
-- function_false_value
f(x) := false if x == 7
f(x) := true if x == 1
allow if f(input.x.n)
-- function_false_value_in_not
f(x) := false if x == 7
f(x) := true if x == 1
allow if not f(input.x.n)
-- function_else
f(x) := "a" if { x > 5 } else := "b" if { x > 0 } else := "c"
v := f(input.x.n)
-- function_undefined_argument
f(x) := 1
allow if not f(input.x.missing)
-- function_same_argument_twice
eq(x, x2) if x == x2
allow if eq(input.x.s, "read")
-- function_wildcards
f(_, _) := 1
v := f(1, input.x.n)
-- function_without_arguments
f() := 1
v := f()
-- function_calls_function
f(x) := g(x) * 2
g(x) := x + 1
v := f(input.x.n)
-- function_in_comprehension
f(x) := x * 2 if x > 1
v := [f(x) | some x in [1, 2, 3]]
-- function_in_set_comprehension
f(x) := x % 2
v := {f(x) | some x in [1, 2, 3, 4]}
-- function_returning_set
f(t) := {x.id | some x in data.users; x.team == t}
v := f(input.x.k)
-- function_returning_set_member
f(t) := {x.id | some x in data.users; x.team == t}
allow if input.principal.id in f("a")
-- function_shadowing_rule
x := 5
f(x) := x
v := [f(1), x]
-- function_iterates_argument
f(xs) if { some x in xs; x == "a" }
allow if f(input.x.list)
-- function_dotted
lib.f(x) := x + 1
v := lib.f(input.x.n)
-- function_as_out_parameter
v := y if { split("a/b", "/", y) }
-- function_of_user_as_out_parameter
f(x) := x + 1
v := y if { f(1, y) }
-- default_only
default allow := false
-- default_true_overridden
default allow := true
allow := false if input.principal.id == "app-1"
-- default_and_rule
default allow := false
allow if input.principal.id == "root"
-- default_value_object
default v := {"a": [1, 2], "b": null}
v := {"a": 1} if input.x.flag
-- default_negative_number
default v := -1
v := input.x.n if is_number(input.x.n)
-- default_comprehension
default v := [x | some x in [1, 2]]
v := 1 if input.x.flag == true
-- default_with_reference_data
default n := 0
n := data.limits[input.x.s]
v := n
-- else_chain
v := "a" if { input.x.n > 5 } else := "b" if { input.x.n > 0 } else := "c" if { input.x.n < 0 }
-- else_true
v := 1 if { input.x.flag == true } else := 2
-- else_without_value
allow if { input.x.flag == true } else if { input.principal.id == "app-2" }
-- else_with_value_false
allow := true if { input.x.n == 1 } else := false if { input.x.n == 7 }
-- else_mixed_conflict
v := 1 if { input.x.n > 0 } else := 2
v := 1 if { input.x.n == 0 }
-- else_falls_through_undefined
v := input.x.missing if { true } else := "b"
-- every_array
allow if every s in input.resource.scopes { s in ["read", "write"] }
-- every_object
allow if every k, y in input.x.o { y == 1; k in {"a", "b"} }
-- every_undefined_domain
allow if every x in input.x.missing { x == 1 }
-- every_undefined_domain_in_helper
ok if every x in input.x.missing { x == 1 }
allow if not ok
-- every_scalar_domain
allow if every x in input.x.s { x == 1 }
-- every_empty
allow if every x in [] { x == 1 }
-- every_with_key
allow if every i, x in input.x.list { x == i + 1 }
-- every_nested
allow if every row in data.matrix { every x in row { x > input.x.n } }
-- every_set
allow if every r in {x | some x in input.x.roles} { data.roles[r] }
-- every_with_some_inside
allow if every r in input.x.roles { some u in data.users; r in u.roles }
-- every_in_helper_negated
bad if { every s in input.resource.scopes { s == "read" } }
allow if not bad
-- every_uses_outer_variable
allow if { some u in data.users; u.id == input.principal.id; every r in u.roles { r in input.x.roles } }
-- every_object_value_only
allow if every x in input.x.o { x == 1 }
-- negation_of_missing
allow if not input.x.missing
-- negation_of_false
allow if not input.x.flag
-- negation_of_equality
allow if not input.x.s == "read"
-- negation_of_inequality
allow if not input.x.s != "read"
-- negation_with_helper
denied if { some p in data.prefixes; startswith(input.action.path, p) }
allow if not denied
-- negation_of_set_member
bad contains u if { some u, _ in data.blocks }
allow if not bad[input.principal.id]
-- negation_of_empty_set
bad contains u if { some u in input.x.none }
allow if not bad[input.principal.id]
-- negation_of_in
allow if not input.x.s in ["read", "write"]
-- negation_of_in_undefined
allow if not input.x.s in input.x.missing
-- negation_of_undefined_in
allow if not input.x.missing in ["a"]
-- negation_of_function_undefined
f(x) := x if x == "never"
allow if not f(input.x.s)
-- negation_of_builtin_error
allow if not to_number(input.x.s)
-- negation_of_comparison_with_undefined
allow if not input.x.missing > 3
-- negation_of_count
allow if not count(input.x.list) > 2
-- negation_of_object_lookup
allow if not data.roles[input.x.s]
-- negation_of_rule_in_other_rule
a if input.x.n == 1
b if not a
allow if not b
-- negation_of_wildcard
allow if not input.x.list[_] == 2
-- negation_with_variable
allow if { some r in input.x.roles; not data.roles[r] }
-- negation_of_comprehension
allow if not [1 | some x in input.x.list; x == 1] == []
-- negation_of_null
allow if not data.flags.nil
-- negation_of_empty_string
allow if not input.x.s == ""
-- null_is_truthy
allow if data.flags.nil
-- null_and_missing
v := [is_null(data.flags.nil), data.flags.nil == null]
-- truthy_zero
allow if 0
-- truthy_empty
allow if { ""; []; {} }
-- false_in_body
allow if data.flags.off
-- membership_in_array
allow if input.x.s in ["read", "x"]
-- membership_in_set
allow if input.x.s in {"read", "x"}
-- membership_in_object
allow if 1 in input.x.o
-- membership_with_key
allow if "a", 1 in input.x.o
-- membership_with_index
allow if 0, 1 in input.x.list
-- membership_in_string
allow if "a" in input.x.s
-- membership_as_value
v := input.x.s in ["read", "x"]
-- membership_as_value_undefined_collection
v := input.x.s in input.x.missing
-- membership_as_value_undefined_left
v := input.x.missing in ["a"]
-- membership_compared_to_false
allow if (input.x.s in input.x.missing) == false
-- membership_in_literal
v := [1 in [1, 2], 3 in [1, 2]]
-- membership_assigned
allow if { m := input.x.s in input.x.list; m == false }
-- membership_as_argument
f(x) := [x]
v := f(input.x.s in input.x.list)
-- membership_as_head_value
default allow := false
allow := input.x.s in data.roles.editor.can
-- membership_of_collection
allow if [1, 2] in input.x.list
-- membership_of_null
allow if null in input.x.o
-- some_in_array
allow if { some r in input.x.roles; r == "admin" }
-- some_in_with_index
v := [[i, r] | some i, r in input.x.roles]
-- some_in_object
v := [[k, x] | some k, x in input.x.o]
-- some_in_set
v := {x | some x in {3, 1, 2}}
-- some_in_pattern
v := [a | some [a, _] in data.matrix]
-- some_in_pattern_object
v := [i | some {"id": i, "team": "a", "roles": _} in [{"id": 1, "team": "a", "roles": []}]]
-- some_in_pattern_constant
v := [b | some [1, b] in data.matrix]
-- some_in_scalar
allow if { some x in input.x.s; x }
-- some_in_undefined
allow if { some x in input.x.missing; x }
-- some_declared
allow if { some i; input.x.list[i] == 2 }
-- some_declared_two
v := [[i, j] | some i, j; data.matrix[i][j] > 1]
-- some_declared_key
v := [k | some k; input.x.o[k] == 1]
-- some_same_key_two_collections
allow if { some k; input.x.o[k]; data.limits[k] }
-- some_bound_value
allow if { some "viewer" in input.x.roles }
-- some_nested
v := [[u.id, r] | some u in data.users; some r in u.roles]
-- some_shadow
v := [x | some x in [1, 2]; y := [x | some x in [3]]; y == [3]]
-- wildcard_array
allow if input.x.list[_] == 2
-- wildcard_object
allow if input.x.o[_] == 1
-- wildcard_nested
allow if data.matrix[_][_] == input.x.n
-- wildcard_twice
allow if { input.x.list[_] == 1; input.x.list[_] == 3 }
-- wildcard_in_comprehension
v := [x | x := data.users[_].id]
-- wildcard_roles_of_users
v := {r | r := data.users[_].roles[_]}
-- variable_index_join
v := [u.id | u := data.users[i]; data.users[j].team == u.team; i != j]
-- variable_index_unbound
v := [i | data.users[i].team == "a"]
-- index_by_variable_key
v := data.limits[input.x.s]
-- index_array_by_number
v := input.x.list[1]
-- index_array_negative
v := input.x.list[-1]
-- index_array_by_string
v := input.x.list["0"]
-- index_array_by_float
v := input.x.list[1.0]
-- index_object_by_number
v := input.x.o[1]
-- index_string
v := input.x.s[0]
-- index_set
s := {1, 2}
allow if s[input.x.n]
-- index_set_of_arrays
s := {[1, 2], [3, 4]}
v := [x | s[[1, x]]]
-- index_set_with_partial_pattern
s contains [u.team, u.id] if some u in data.users
v := [i | some i; s[["a", i]]]
-- index_expression
v := data.users[count(input.x.list) - 1].id
-- index_nested_expression
v := data.roles[data.users[0].roles[0]].level
-- index_call
v := split(input.action.path, "/")[1]
-- index_of_call_result
v := split(input.action.path, "/")[_]
-- index_literal_array
v := ["a", "b"][input.x.n]
-- index_literal_object
v := {"a": 1, "b": 2}[input.x.k]
-- path_bracket_string
v := data["roles"]["admin"].level
-- path_deep
v := data.nested.a.b.c[1].d
-- path_deep_wildcard
v := [d | d := data.nested.a.b.c[_].d]
-- path_missing
v := data.nowhere.at.all
-- path_through_scalar
v := data.limits.read.more
-- path_dynamic_two
v := data[input.x.none][input.x.k]
-- path_dynamic_data
v := data.teams[input.x.k].lead
-- unify_array
v := [a, b] if { [a, b] = input.x.names }
-- unify_object
v := a if { {"a": a, "b": _} = input.x.o }
-- unify_two_ways
v := [a, b] if { [a, 2] = [1, b] }
-- unify_nested
v := [a, b, c] if { [a, [b, c]] = [1, [2, 3]] }
-- unify_equal
allow if input.x.n = 7
-- unify_with_reference
v := x if { x = input.x.s }
-- unify_reference_on_left
v := x if { input.x.s = x }
-- unify_bound
allow if { x := 1; x = input.x.n }
-- unify_later
v := y if { y = x + 1; x = 2 }
-- unify_object_variable_value
v := y if { {"k": y} = {"k": input.x.n} }
-- unify_array_length
allow if { [_, _] = input.x.list }
-- assign_destructure
v := [b, a] if { [a, b] := [1, input.x.n] }
-- assign_destructure_object
v := t if { {"lead": t, "tags": _} := data.teams[input.x.k] }
-- assign_order
v := y if { y := x * 2; x := 3 }
-- assign_false
allow if { x := false; x == false }
-- assign_comparison
v := x if { x := input.x.n > 3 }
-- assign_comparison_undefined
v := x if { x := input.x.missing > 3 }
-- assign_not_defined
allow if { x := input.x.flag; x != false }
-- comparison_value
v := [input.x.n == 7, input.x.n != 7, input.x.n < 7]
-- comparison_types
v := [1 < "a", null < false, "a" < [1], [1] < {"a": 1}, {"a": 1} < {1}]
-- comparison_sets
v := [{1, 2} == {2, 1}, {1} < {2}]
-- comparison_numbers
v := [1 == 1.0, 1e2 == 100, -0 == 0]
-- comparison_chain_in_body
allow if { input.x.n >= 0; input.x.n <= 5 }
-- comparison_strings
allow if input.x.s > "r"
-- comparison_mixed
allow if input.x.s > 3
-- arithmetic
v := [input.x.n + 1, input.x.n - 1, input.x.n * 2]
-- arithmetic_division
v := [7 / 2, 6 / 2, 1 / 3]
-- arithmetic_modulo
v := [7 % 3, -7 % 3]
-- arithmetic_division_by_zero
v := 1 / (input.x.n - 1)
-- arithmetic_division_by_zero_in_not
allow if not 1 / (input.x.n - 1) == 5
-- arithmetic_precedence
v := 1 + 2 * 3 - 4 / 2
-- arithmetic_big
v := 9007199254740993 + 1
-- arithmetic_float
v := 0.1 + 0.2
-- arithmetic_with_fraction_of_value
v := json.unmarshal("0.1") + json.unmarshal("0.2")
-- arithmetic_with_fraction_of_quotient
allow if (input.x.n / 3) * 3 == input.x.n
-- arithmetic_in_comprehension
v := [x * 2 - 1 | some x in [1, 2, 3]; x % 2 == 1]
-- arithmetic_in_negation
allow if not input.x.missing + 1 == 2
-- arithmetic_with_string
allow if input.x.s + 1 == 2
-- arithmetic_of_set_and_number
v := {1} - input.x.n
-- arithmetic_in_index
v := ["a", "b", "c", "d", "e", "f", "g"][input.x.n - 1]
-- arithmetic_negative_literal
v := [-1, -2.5, 3 - -1]
-- arithmetic_in_head
v := input.x.n + 1
-- arithmetic_large_multiply
v := 100000000000 * 100000000000
-- set_operators
v := [{1, 2} | {3}, {1, 2} & {2}, {1, 2} - {2}]
-- set_operators_of_input
a := {x | some x in input.x.roles}
b := {"viewer", "admin"}
v := [a & b, a | b, a - b]
-- set_difference_empty
missing := {s | some s in input.resource.scopes} - {"read"}
allow if count(missing) == 0
-- set_subset
need := {s | some s in input.resource.scopes}
have := {w | some w in data.grants[input.principal.id]}
allow if need - have == set()
-- set_empty
v := [set(), count(set()), {x | some x in []}]
-- set_of_sets
v := {{1, 2}, {2, 1}, {3}}
-- set_of_objects
v := {{"a": 1}, {"a": 1}, {"a": 2}}
-- set_of_mixed
v := {1, "a", null, true, [1], {"k": 1}}
-- partial_set
roles contains r if { some u in data.users; u.id == input.principal.id; some r in u.roles }
allow if "viewer" in roles
-- partial_set_value
roles contains r if { some u in data.users; u.id == input.principal.id; some r in u.roles }
v := roles
-- partial_set_two_rules
roles contains r if { some r in input.x.roles }
roles contains "base"
v := roles
-- partial_set_constant_if
deny contains "no scopes" if count(input.resource.scopes) == 0
deny contains msg if { some s in input.resource.scopes; not s in ["read", "write"]; msg := sprintf("scope %s", [s]) }
v := deny
-- partial_set_deny_count
deny contains "no scopes" if count(input.resource.scopes) == 0
deny contains "bad path" if startswith(input.action.path, "/internal")
allow if count(deny) == 0
-- partial_set_reference_in_head
ids contains u.id if some u in data.users
v := ids
-- partial_set_undefined_in_head
ages contains u.age if some u in data.users
v := ages
-- partial_set_undefined_in_head_first
firsts contains x.b if some x in [{"a": 1}, {"b": 2}, {"a": 3}, {"b": 4}]
v := firsts
-- partial_set_input_in_head
xs contains input.x.s
xs contains input.x.missing
v := xs
-- partial_set_call_in_head
parts contains lower(p) if some p in split(input.action.path, "/")
v := parts
-- partial_set_array_in_head
pairs contains [u.id, r] if { some u in data.users; some r in u.roles }
v := pairs
-- partial_set_object_in_head
pairs contains {"id": u.id, "age": u.age} if some u in data.users
v := pairs
-- partial_set_of_empty
none contains x if { some x in input.x.list; x == "never" }
v := none
-- partial_set_iterated
ids contains u.id if some u in data.users
allow if { some i in ids; i == input.principal.id }
-- partial_set_bracket
ids contains u.id if some u in data.users
allow if ids[input.principal.id]
-- partial_set_bracket_variable
ids contains u.id if some u in data.users
v := [i | some i; ids[i]]
-- partial_object_reference_in_head
age[u.id] := u.age if some u in data.users
v := age
-- partial_object_undefined_value_first
b[k] := x.b if some k, x in [{"a": 1}, {"b": 2}, {"a": 3}]
v := b
-- partial_object_call_in_head
size[r] := count(o.can) if some r, o in data.roles
v := size
-- partial_object_input_key
one[input.x.k] := input.x.n
v := one
-- partial_object_constant_keys
lim.read := 1
lim.write := 2 if input.x.flag == true
v := lim
-- partial_object_constant_and_variable
lim.read := 100
lim[k] := n if { some k, n in data.limits; k != "read" }
v := lim
-- partial_object_empty
none[k] := 1 if { some k in input.x.list; k == "never" }
v := none
-- partial_object_iterated
lim[k] := n + 1 if some k, n in data.limits
v := [[k, n] | some k, n in lim]
-- partial_object_number_key
sq[n] := n * n if some n in [1, 2, 3]
v := [sq[2], sq[input.x.n]]
-- partial_object_array_key
at[[a, b]] := a + b if some [a, b] in data.matrix
v := at[[1, 2]]
-- partial_object_false_value
is_ok[k] := b if { some k, b in {"a": true, "b": false} }
allow if is_ok[input.x.k]
-- partial_object_false_value_negated
is_ok[k] := b if { some k, b in {"a": true, "b": false} }
allow if not is_ok[input.x.k]
-- partial_object_override_by_constant
cfg[k] := x if some k, x in input.x.o
v := cfg.a
-- comprehension_array
v := [y | some x in [1, 2, 3]; x > 1; y := x * 2]
-- comprehension_set
v := {y | some x in [1, 2, 3]; y := x % 2}
-- comprehension_object
v := {k: m | some k, n in data.limits; m := n * 2}
-- comprehension_infix_head
v := [x * 2 | some x in [1, 2, 3]; x > 1]
-- comprehension_head_in_parentheses
v := [[(x * 2) | some x in [1, 2, 3]], {(x in input.x.list) | some x in [1, 2]}, [(x == 2) | some x in [1, 2]]]
-- comprehension_nested
v := [[y | some y in row; y > 1] | some row in data.matrix]
-- comprehension_of_undefined
v := [x | x := input.x.missing]
-- comprehension_reference_in_head
v := [u.age | some u in data.users]
-- comprehension_reference_in_head_set
v := {u.age | some u in data.users}
-- comprehension_reference_in_head_object
v := {u.id: u.age | some u in data.users}
-- comprehension_constant_head
v := [1 | some r in input.x.roles; r != "x"]
-- comprehension_counted
allow if count([1 | some r in input.x.roles; data.roles[r].level > 1]) > 0
-- comprehension_in_body
allow if { xs := {x | some x in input.x.roles}; "admin" in xs }
-- comprehension_empty
v := [[x | some x in []], {x | some x in []}, {x: 1 | some x in []}]
-- comprehension_group
v := {t: ids | some t, _ in data.teams; ids := {u.id | some u in data.users; u.team == t}}
-- comprehension_closure
v := [y | some x in [1, 2]; y := [z | some z in [1, 2, 3]; z > x]]
-- comprehension_with_not
v := [r | some r in input.x.roles; not data.roles[r]]
-- comprehension_with_every
v := [u.id | some u in data.users; every r in u.roles { r != "admin" }]
-- comprehension_with_call_in_head
v := [upper(n) | some n in ["a", "b"]]
-- comprehension_indexing_in_head
v := [data.limits[s] | some s in ["read", "none", "write"]]
-- comprehension_wildcard_in_head
v := [data.users[_].id | true]
-- comprehension_two_generators_in_head
v := [[i, j] | some i in [1, 2]; some j in ["a", "b"]]
-- object_literal
v := {"a": input.x.n, "b": [input.x.s]}
-- object_literal_undefined
v := {"a": input.x.missing}
-- object_computed_key
v := {input.x.s: 1}
-- object_number_key
v := {1: "a"}[1]
-- object_number_key_in_result
v := {"o": {1: "a"}}
-- object_nested_iteration
v := [x | some x in {"p": {"q": 1}}.p]
-- array_literal_undefined
v := [1, input.x.missing]
-- array_concat
v := array.concat(input.x.list, ["z"])
-- array_slice
v := array.slice([1, 2, 3, 4], 1, 3)
-- array_reverse
v := array.reverse([1, 2, 3])
-- with_input
a if input.x.n == 1
allow if a with input as {"x": {"n": 1}}
-- with_input_part
a := input.x.n
v := y if { y := a with input.x.n as 42 }
-- with_input_part_of_missing
a := input.y.z
v := y if { y := a with input.y.z as 42 }
-- with_data
a := data.limits.read
v := y if { y := a with data.limits as {"read": 99} }
-- with_data_new
a := data.extra.q
v := y if { y := a with data.extra.q as 1 }
-- with_rule
a := 1
b := a + 1
v := y if { y := b with data.caracal.authz.a as 10 }
-- with_function
f(x) := x
g(x) := f(x) + 1
v := y if { y := g(1) with f as 5 }
-- with_builtin
a := count([1, 2, 3])
v := y if { y := a with count as 9 }
-- with_builtin_function
mock(_) := 7
a := count([1, 2, 3])
v := y if { y := a with count as mock }
-- with_two
a := [input.x.n, data.limits.read]
v := y if { y := a with input.x.n as 1 with data.limits.read as 2 }
-- with_negation
a if input.x.flag == true
allow if not a with input.x.flag as false
-- with_undefined_value
a if input.x.n
allow if not a with input as input.x.missing
-- with_restored
a := input.x.n
v := [y, a] if { y := a with input.x.n as 42 }
-- with_in_comprehension
a := input.x.n
v := [y | some z in [1, 2]; y := a with input.x.n as z]
-- with_in_loop
a if input.x.n > 1
allow if { some z in [0, 2]; a with input.x.n as z }
-- with_every
a if input.x.n > 1
allow if every z in [2, 3] { a with input.x.n as z }
-- string_builtins
v := [lower(input.x.s), upper("ab"), trim("  a ", " "), trim_space(" b ")]
-- string_startswith
allow if startswith(input.action.path, "/api")
-- string_endswith
allow if endswith(input.action.path, "s")
-- string_contains
allow if contains(input.action.path, "min")
-- string_split
v := split(input.action.path, "/")
-- string_split_match
allow if { ["", "api", _] = split(input.action.path, "/") }
-- string_path_array
allow if { p := split(trim_left(input.action.path, "/"), "/"); p[0] == "admin" }
-- string_concat
v := concat("/", input.x.names)
-- string_concat_set
v := concat(",", {"b", "a"})
-- string_replace
v := replace(input.action.path, "/", ".")
-- string_sprintf
v := sprintf("%s-%d-%v", ["a", 1, [1, "x"]])
-- string_sprintf_types
v := [sprintf("%v", [x]) | some x in [1, 1.5, "s", null, true, [1], {"a": 1}]]
-- string_sprintf_padding
v := [sprintf("%5d|%-5d|%05d", [1, 2, 3]), sprintf("%q", ["a"]), sprintf("%x", [255])]
-- string_sprintf_float
v := [sprintf("%.2f", [1.234]), sprintf("%d", [3])]
-- string_sprintf_missing_argument
v := sprintf("%s %s", ["a"])
-- string_sprintf_wrong_type
v := sprintf("%d", ["a"])
-- string_sprintf_extra_argument
v := sprintf("%s", ["a", "b"])
-- string_sprintf_set
v := sprintf("%v", [{1, 2}])
-- string_substring
v := [substring("hello", 1, 3), substring("hello", 2, -1), substring("hello", 0, 99)]
-- string_substring_of_unicode
v := substring("héllo", 1, 2)
-- string_indexof
v := [indexof("hello", "l"), indexof("hello", "z"), indexof_n("banana", "a")]
-- string_trim_family
v := [trim_prefix("/a/b", "/a"), trim_suffix("a.rego", ".rego"), trim_right("a//", "/"), trim_left("//a", "/")]
-- string_format_int
v := [format_int(255, 16), format_int(10.9, 10)]
-- string_reverse
v := strings.reverse("abc")
-- string_count
v := strings.count("cheese", "e")
-- string_replace_n
v := strings.replace_n({"<": "&lt;", ">": "&gt;"}, "<a>")
-- string_any_prefix
allow if strings.any_prefix_match(input.action.path, data.prefixes)
-- string_any_suffix
allow if strings.any_suffix_match(input.action.path, {"s", "y"})
-- string_of_wrong_type
allow if startswith(input.x.s, "re")
-- string_lower_of_wrong_type_in_not
allow if not startswith(input.x.s, "re")
-- string_raw
v := `a\d"b`
-- string_escapes
v := "tab\tquote\"u\u00e9"
-- string_length
v := count("héllo")
-- regex_match
allow if regex.match(`^/api/[a-z]+$`, input.action.path)
-- regex_match_invalid
allow if not regex.match("(", input.action.path)
-- regex_find
v := regex.find_n("[a-z]+", input.action.path, -1)
-- regex_replace
v := regex.replace("a1b22", "[0-9]+", "#")
-- regex_replace_group
v := regex.replace("john doe", `(\w+) (\w+)`, "$2 $1")
-- regex_split
v := regex.split("[/.]", input.action.path)
-- regex_submatch
v := regex.find_all_string_submatch_n("a(b*)c", "abbc ac", -1)
-- regex_is_valid
v := [regex.is_valid("("), regex.is_valid("a+")]
-- regex_template
v := regex.template_match("urn:foo:{.*}", "urn:foo:bar:baz", "{", "}")
-- glob_match
allow if glob.match("/api/*", ["/"], input.action.path)
-- glob_match_super
allow if glob.match("/internal/**", ["/"], input.action.path)
-- glob_match_no_delimiters
allow if glob.match("*min*", [], input.action.path)
-- glob_match_null_delimiters
v := [glob.match("*.github.com", null, "api.github.com"), glob.match("*.github.com", [], "api.github.com"), glob.match("*.github.com", [], "a.b.github.com")]
-- glob_match_alternatives
allow if glob.match("{/api,/admin}/*", ["/"], input.action.path)
-- glob_match_class
v := [glob.match("[a-c]at", [], "bat"), glob.match("[!a-c]at", [], "bat"), glob.match("?at", [], "cat")]
-- glob_quote
v := glob.quote_meta("*.github.com")
-- number_builtins
v := [abs(-1), ceil(1.2), floor(1.8), round(1.5), round(-2.5)]
-- number_range
v := numbers.range(1, 4)
-- number_range_down
v := numbers.range(3, 1)
-- number_range_step
v := numbers.range_step(0, 10, 5)
-- number_to_number
v := [to_number("1"), to_number("1.5"), to_number(null), to_number(true)]
-- number_to_number_bad
v := to_number("abc")
-- number_bits
v := [bits.and(6, 3), bits.or(6, 3), bits.xor(6, 3), bits.negate(1), bits.lsh(1, 3), bits.rsh(8, 2)]
-- aggregate_builtins
v := [count([1, 2]), sum([1, 2, 3]), product([2, 3]), max([1, 3, 2]), min([3, 1]), sort([3, 1, 2])]
-- aggregate_of_empty
v := [count([]), sum([]), product([])]
-- aggregate_max_of_empty
v := max([])
-- aggregate_of_set
v := [sum({1, 2}), max({1, 5}), sort({3, 1})]
-- aggregate_of_object
v := count(input.x.o)
-- aggregate_sum_wrong_type
v := sum(["a"])
-- aggregate_sort_mixed
v := sort([1, "a", null, true, [1], {"a": 1}, {2}])
-- aggregate_count_of_string
v := count(input.x.s)
-- aggregate_count_of_number
allow if not count(input.x.n)
-- type_builtins
v := [is_number(input.x.n), is_string(input.x.n)]
-- type_in_not
allow if not is_string(input.x.n)
-- type_name
v := [type_name(x) | some x in data.mixed]
-- type_checks_false
v := [is_null(1), is_array({}), is_object([]), is_set([]), is_boolean(0)]
-- object_get
v := object.get(input.x.o, "a", "none")
-- object_get_path
v := object.get(data.nested, ["a", "b", "none"], 0)
-- object_get_of_missing
v := object.get(input.x, "missing", "d")
-- object_union
v := object.union({"a": 1, "o": {"p": 1}}, {"b": 2, "o": {"q": 2}})
-- object_union_n
v := object.union_n([{"a": 1}, {"b": 2}, {"a": 3}])
-- object_remove
v := object.remove({"a": 1, "b": 2}, ["a"])
-- object_filter
v := object.filter({"a": 1, "b": 2}, {"a", "c"})
-- object_keys
v := object.keys(data.limits)
-- object_subset
v := [object.subset({"a": 1, "b": 2}, {"a": 1}), object.subset([1, 2, 3], [2, 3]), object.subset({1, 2}, {1})]
-- json_filter
v := json.filter({"a": {"b": 1, "c": 2}, "d": 3}, ["a/b", "d"])
-- json_remove
v := json.remove({"a": {"b": 1, "c": 2}}, ["a/b"])
-- json_patch
v := json.patch({"a": 1}, [{"op": "add", "path": "/b", "value": 2}])
-- json_marshal
v := json.marshal({"b": [1, null], "a": "x<y"})
-- json_unmarshal
v := json.unmarshal(`{"a": [1, 2.5, null]}`)
-- json_unmarshal_bad
v := json.unmarshal("{")
-- json_is_valid
v := [json.is_valid("{}"), json.is_valid("{")]
-- base64_builtins
v := [base64.encode("hi?"), base64.decode("aGk/"), base64url.encode("hi?"), base64url.encode_no_pad("hi?"), base64url.decode("aGk_")]
-- base64_bad
v := base64.decode("***")
-- hex_builtins
v := [hex.encode("abc"), hex.decode("616263")]
-- sets_intersection_union
v := [intersection({{1, 2}, {2, 3}}), union({{1}, {2}})]
-- net_cidr_contains
v := [net.cidr_contains("10.0.0.0/8", "10.1.2.3"), net.cidr_contains("10.0.0.0/8", "11.0.0.1")]
-- net_cidr_contains_network
v := net.cidr_contains("10.0.0.0/8", "10.1.0.0/16")
-- net_cidr_bad
allow if not net.cidr_contains("10.0.0.0/8", input.x.s)
-- net_cidr_intersects
v := net.cidr_intersects("10.0.0.0/8", "10.1.0.0/16")
-- net_cidr_is_valid
v := [net.cidr_is_valid("10.0.0.0/8"), net.cidr_is_valid("10.0.0.0")]
-- semver_builtins
v := [semver.compare("1.2.3", "1.10.0"), semver.is_valid("1.0"), semver.is_valid("1.0.0")]
-- units_parse
v := [units.parse_bytes("10KB"), units.parse_bytes("1MiB"), units.parse("10k")]
-- graph_reachable
v := graph.reachable(data.tree, {"root"})
-- graph_reachable_part
allow if "c" in graph.reachable(data.tree, {input.x.k})
-- graph_reachable_paths
v := graph.reachable_paths(data.tree, {"root"})
-- walk_values
v := [x | walk(input.x.o, [_, x]); is_number(x)]
-- walk_paths
v := [p | walk({"a": {"b": 1}}, [p, 1])]
-- walk_any
allow if { walk(input.x, [_, "admin"]) }
-- walk_negated
has_admin if { walk(input.x, [_, "admin"]) }
allow if not has_admin
-- print_statement
allow if { print("seen", input.x.n); input.x.n == 1 }
-- trace_statement
allow if { trace("seen"); input.x.n == 1 }
-- time_parse
v := time.parse_rfc3339_ns("2020-01-01T00:00:00Z")
-- crypto_sha256
v := crypto.sha256("a")
-- io_jwt_decode
v := io.jwt.decode("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.x")
-- yaml_unmarshal
v := yaml.unmarshal("a: 1")
-- urlquery
v := urlquery.encode("a b")
-- not_every_helper
has_bad if { some s in input.resource.scopes; not s in data.roles.editor.can }
allow if not has_bad
-- rbac
user_roles contains r if { some u in data.users; u.id == input.principal.id; some r in u.roles }
allow if { some r in user_roles; some c in data.roles[r].can; c == input.x.s }
-- rbac_scopes
user_roles contains r if { some u in data.users; u.id == input.principal.id; some r in u.roles }
permitted contains c if { some r in user_roles; some c in data.roles[r].can }
allow if every s in input.resource.scopes { s in permitted }
-- abac
allow if { some u in data.users; u.id == input.principal.id; u.age >= 18; u.team == data.teams.a.tags[_] }
allow if { some u in data.users; u.id == input.principal.id; u.age >= 40 }
-- hierarchy
lead[u] contains m if { some t, o in data.teams; u := o.lead; some x in data.users; x.team == t; m := x.id }
allow if "app-1" in lead[input.principal.id]
-- deny_overrides
default allow := false
allow if { permit; not deny }
permit if { some w in data.grants[input.principal.id]; w == input.x.s }
deny if { some p in data.prefixes; startswith(input.action.path, p) }
-- separation_of_duty
conflict if { some r1 in input.x.roles; some r2 in input.x.roles; r1 != r2; data.roles[r1].level - data.roles[r2].level == 1 }
allow if not conflict
-- first_match
decision := "deny" if { startswith(input.action.path, "/internal") } else := "review" if { startswith(input.action.path, "/admin") } else := "allow"
result := {"decision": decision, "evaluation_status": "complete", "determining_policies": [], "diagnostics": []}
-- result_in_two_rules
default result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []}
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [{"id": "p-1"}], "diagnostics": []} if input.principal.id == "root"
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [{"id": "p-2"}], "diagnostics": []} if input.x.flag == null
-- result_with_else
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []} if {
	input.x.flag == true
} else := {"decision": "deny", "evaluation_status": "complete", "determining_policies": [], "diagnostics": [{"why": why}]} if {
	why := input.x.s
}
-- result_as_dotted_rules
result.decision := "allow" if input.x.flag == true
result.decision := "deny" if not input.x.flag == true
result.evaluation_status := "complete"
result.determining_policies := []
result.diagnostics := []
-- result_as_partial_set_members
result.decision := "allow"
result.evaluation_status := "complete"
result.determining_policies contains {"id": r} if some r in input.x.roles
result.diagnostics := []
-- result_from_helper_object
base := {"evaluation_status": "complete", "determining_policies": [], "diagnostics": []}
result := object.union(base, {"decision": d}) if { d := {true: "allow", false: "deny"}[input.x.flag] }
-- determining_from_partial_set
hits contains {"id": k} if { some k, ws in data.grants; input.x.s in ws }
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [h | some h in hits], "diagnostics": []} if count(hits) > 0
-- undefined_part_of_result
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": [{"x": input.x.missing}]}
-- rule_chain
a := input.x.n
b := a + 1
c := b * 2
v := c
-- rule_referenced_by_data_path
a := input.x.n
v := data.caracal.authz.a
-- rule_referenced_by_data_bracket
a := input.x.n
v := data.caracal["authz"].a
-- rule_of_dotted_name
cfg.max.n := 5
cfg.max.s := "x"
v := [cfg.max.n, cfg.max]
-- rule_of_dotted_name_two_depths
cfg.a := 1
cfg.b.c := 2
v := cfg
-- rule_of_dotted_name_undefined
cfg.a := 1 if input.x.flag == true
v := cfg
-- rule_of_dotted_name_undefined_negated
cfg.a := 1 if input.x.flag == true
allow if not cfg
-- rule_of_dotted_name_negated_member
cfg.a := 1 if input.x.flag == true
allow if not cfg.a
-- partial_rule_empty_negated
p[k] := e if { some k, e in input.x.none }
allow if not p
-- partial_set_rule_empty_negated
p contains e if { some e in input.x.none }
allow if not p
-- partial_deep_rule_empty_negated
p[k] contains e if { some k, e in input.x.none }
allow if not p
-- partial_dotted_rule_empty_negated
p.q[k] contains e if { some k, e in input.x.none }
allow if not p.q
-- partial_dotted_rule_empty_negated_above
p.q[k] contains e if { some k, e in input.x.none }
allow if not p
-- partial_constant_after_variable_empty
p[k].q := e if { some k, e in input.x.none }
allow if p
-- partial_empty_iterated_by_every
p[k].q := e if { some k, e in input.x.none }
allow if every x in p { x == 1 }
-- partial_string_component_empty
p["a-b"][k] := e if { some k, e in input.x.none }
allow if p["a-b"]
-- object_of_function_only
lib.f(x) := x
allow if not lib
-- object_of_dotted_rules_some_undefined
cfg.a := 1 if input.x.flag == true
cfg.b := 2 if input.x.n == 7
v := cfg
-- object_of_dotted_rules_member_first
cfg.a := 1 if input.x.flag == true
cfg.b := 2 if input.x.n == 7
v := [object.get(cfg, "a", 0), object.get(cfg, "b", 0), x] if { not cfg.a; x := cfg }
-- object_three_deep_undefined
cfg.a.b := 1 if input.x.flag == true
v := [cfg, cfg.a]
-- object_dotted_default
default cfg.a := 0
cfg.a := 1 if input.x.flag == true
v := cfg
-- rule_bracket_string_head
cfg["a-b"] := 1
v := cfg["a-b"]
-- rule_multiple_same_value
a := "x" if input.x.n == 1
a := "x" if input.x.flag == true
v := a
-- rule_body_with_false_literal
allow if false
-- rule_value_false
deny := false
allow if not deny
-- rule_value_null
a := null
allow if a
-- rule_value_undefined_reference
a := input.x.missing
allow if not a
-- rule_several_bodies
allow if input.principal.id == "root"
allow if input.x.n == 1
allow if "admin" in input.x.roles
-- rule_iterating_value
v := x if { some x in input.x.names; x == "bob" }
-- rule_conflicting_iteration
v := x if { some x in input.x.names }
-- rule_early_exit
allow if { some x in input.x.names; x }
-- rule_early_exit_in_loop
found if { some i; input.x.list[i] == 2 }
allow if { found; not input.x.list[5] }
-- rule_shadowing_import_name
roles := ["x"]
v := [roles, data.roles.viewer.level]
-- long_literal
m := {
	"a-rather-long-name-of-a-member-0": "a-rather-long-value-of-a-member-0",
	"a-rather-long-name-of-a-member-1": "a-rather-long-value-of-a-member-1",
	"a-rather-long-name-of-a-member-2": "a-rather-long-value-of-a-member-2",
	"a-rather-long-name-of-a-member-3": "a-rather-long-value-of-a-member-3",
	"a-rather-long-name-of-a-member-4": "a-rather-long-value-of-a-member-4",
	"a-rather-long-name-of-a-member-5": "a-rather-long-value-of-a-member-5",
	"a-rather-long-name-of-a-member-6": "a-rather-long-value-of-a-member-6",
	"a-rather-long-name-of-a-member-7": "a-rather-long-value-of-a-member-7",
	"a-rather-long-name-of-a-member-8": "a-rather-long-value-of-a-member-8",
	"a-rather-long-name-of-a-member-9": "a-rather-long-value-of-a-member-9",
	"a-rather-long-name-of-a-member-10": "a-rather-long-value-of-a-member-10",
	"a-rather-long-name-of-a-member-11": "a-rather-long-value-of-a-member-11",
	"a-rather-long-name-of-a-member-12": "a-rather-long-value-of-a-member-12",
	"a-rather-long-name-of-a-member-13": "a-rather-long-value-of-a-member-13",
	"a-rather-long-name-of-a-member-14": "a-rather-long-value-of-a-member-14",
	"a-rather-long-name-of-a-member-15": "a-rather-long-value-of-a-member-15",
	"a-rather-long-name-of-a-member-16": "a-rather-long-value-of-a-member-16",
	"a-rather-long-name-of-a-member-17": "a-rather-long-value-of-a-member-17",
	"a-rather-long-name-of-a-member-18": "a-rather-long-value-of-a-member-18",
	"a-rather-long-name-of-a-member-19": "a-rather-long-value-of-a-member-19",
	"a-rather-long-name-of-a-member-20": "a-rather-long-value-of-a-member-20",
	"a-rather-long-name-of-a-member-21": "a-rather-long-value-of-a-member-21",
	"a-rather-long-name-of-a-member-22": "a-rather-long-value-of-a-member-22",
	"a-rather-long-name-of-a-member-23": "a-rather-long-value-of-a-member-23",
	"a-rather-long-name-of-a-member-24": "a-rather-long-value-of-a-member-24",
	"a-rather-long-name-of-a-member-25": "a-rather-long-value-of-a-member-25",
	"a-rather-long-name-of-a-member-26": "a-rather-long-value-of-a-member-26",
	"a-rather-long-name-of-a-member-27": "a-rather-long-value-of-a-member-27",
	"a-rather-long-name-of-a-member-28": "a-rather-long-value-of-a-member-28",
	"a-rather-long-name-of-a-member-29": "a-rather-long-value-of-a-member-29",
}
v := count(m)
-- rule_named_like_builtin
count_of := count(input.x.names)
v := count_of
-- constant_rules
a := 1
b := [a, a]
c := {"k": b}
v := c
-- comparison_of_rules
a contains x if some x in [1, 2]
b contains x if some x in [2, 1]
allow if a == b
-- rule_true_object
ok[x] := true if some x in input.x.names
allow if ok.bob
-- in_operator_precedence
allow if "a" in ["a"] == true
-- parentheses
v := (1 + 2) * (input.x.n - 1)
-- multi_line_body
allow if {
	input.x.n == 1
	input.x.flag == true

	# a comment
	input.x.s == "read"
}
-- semicolons
allow if { input.x.n == 1; input.x.flag; input.x.s == "read" }
-- set_lookup_of_undefined
s := {1, 2}
allow if not s[input.x.missing]
-- object_lookup_of_undefined
allow if not data.limits[input.x.missing]
-- count_of_undefined
allow if not count(input.x.missing) > 0
-- any_all_by_comprehension
any_true if { some b in [input.x.flag, false]; b == true }
allow if any_true
-- labels
allow if { some l in input.principal.labels; l == "prod" }
-- time_now
allow if time.now_ns() > 0
-- http_send
allow if http.send({"method": "get", "url": "http://127.0.0.1:1"}).status_code == 200
-- rand_intn
allow if rand.intn("x", 1) == 0
-- recursion
f(x) := f(x - 1)
v := f(input.x.n)
-- recursion_of_rules
a if b
b if a
allow if a
-- recursion_by_dynamic_reference
v := data.caracal[input.x.s]
-- unsafe_variable
allow if x == 1
-- unknown_function
allow if nowhere(1)
-- wrong_arity
allow if startswith("a")
-- wrong_arity_in_not
allow if not startswith(input.x.s)
-- wrong_arity_of_user_function
f(a, b) := a + b
v := f(1)
-- wrong_static_type
allow if not startswith("a", 1)
-- wrong_static_type_of_operator
v := "a" + 1
-- two_kinds_of_rule
a := 1
a contains 2
v := 1
-- function_and_rule_of_one_name
f(x) := x
f := 1
v := 1
-- two_defaults
default a := 1
default a := 2
v := a
-- default_with_variable
default a := input.x.n
v := a
-- assignment_twice
v := 1 if { x := 1; x := 2 }
-- declared_but_unused
allow if { some x; input.x.n == 1 }
-- variable_used_before_declaration
v := y if { y := 1; x := y }
-- data_rule_conflict
limits := 1
v := limits
-- reference_to_package
a := 1
b := 2
v := data.caracal.authz.a + data.caracal.authz.b
-- set_union_in_condition
allow if { "x" in ({"x"} | {"y"}) }
-- nested_function_calls
v := upper(concat("-", [lower("A"), sprintf("%d", [input.x.n])]))
-- call_in_index
v := data.roles[lower("ADMIN")].level
-- call_in_array
v := [lower("A"), count([1])]
-- some_with_comparison_of_keys
v := [k | some k, n in data.limits; n > data.limits.write]
-- exists_not_in_other
v := [r | some r in ["viewer", "nobody"]; not r in object.keys(data.roles)]
-- double_negation
bad if not good
good if input.x.n == 1
allow if not bad
-- negation_of_every
bad if { some s in input.resource.scopes; s == "delete" }
allow if { not bad; count(input.resource.scopes) > 0 }
-- string_interpolated
v := $"id is {input.principal.id}"
'''

# Policies of several modules, or with data of their own.
MODULES = {
    "imported_package": {
        "modules": {
            "lib.rego": "package lib\n\nimport rego.v1\n\nis_ok(x) if x == \"read\"\n\nlimit := 3\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\nimport data.lib\n\nallow if { lib.is_ok(input.x.s); lib.limit > 2 }\n",
        }
    },
    "imported_rule": {
        "modules": {
            "lib.rego": "package lib.deep\n\nimport rego.v1\n\nnames contains n if some n in input.x.names\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\nimport data.lib.deep.names\n\nallow if \"bob\" in names\n",
        }
    },
    "imported_alias": {
        "modules": {
            "lib.rego": "package lib.deep\n\nimport rego.v1\n\nf(x) := x + 1\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\nimport data.lib.deep as d\n\nv := d.f(input.x.n)\n",
        }
    },
    "imported_input": {
        "modules": {
            "m.rego": "package caracal.authz\n\nimport rego.v1\nimport input.x as req\n\nallow if req.n == 1\n",
        }
    },
    "imported_data": {
        "modules": {
            "m.rego": "package caracal.authz\n\nimport rego.v1\nimport data.limits\n\nv := limits.read\n",
        }
    },
    "called_by_full_path": {
        "modules": {
            "lib.rego": "package lib\n\nimport rego.v1\n\nf(x) := x + 1\n\nr := 5\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nv := data.lib.f(data.lib.r)\n",
        }
    },
    "one_package_in_two_files": {
        "modules": {
            "a.rego": "package caracal.authz\n\nimport rego.v1\n\nroles contains \"a\" if input.x.n == 1\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nroles contains \"b\"\n\nv := roles\n",
        }
    },
    "conflict_across_files": {
        "modules": {
            "a.rego": "package caracal.authz\n\nimport rego.v1\n\nlevel := 1 if input.x.n == 1\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nlevel := 2 if input.x.flag == true\n\nallow if not level == 2\n",
        }
    },
    "other_package_partial_object": {
        "modules": {
            "lib.rego": "package lib\n\nimport rego.v1\n\ngrants[u] contains w if { some u, ws in data.grants; some w in ws }\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if \"fraud\" in data.lib.grants[input.principal.id]\n",
        }
    },
    "other_package_whole": {
        "modules": {
            "lib.rego": "package lib\n\nimport rego.v1\n\na := 1\n\nb := input.x.n\n\nc contains x if some x in [1, 2]\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nv := data.lib\n",
        }
    },
    "other_package_whole_undefined": {
        "modules": {
            "lib.rego": "package lib\n\nimport rego.v1\n\na := 1 if input.x.flag == true\n\nb[k] := e if some k, e in input.x.none\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nv := data.lib\n",
        }
    },
    "other_package_undefined_negated": {
        "modules": {
            "lib.rego": "package lib\n\nimport rego.v1\n\na := 1 if input.x.flag == true\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if not data.lib\n",
        }
    },
    "other_package_above_negated": {
        "modules": {
            "lib.rego": "package lib.deep\n\nimport rego.v1\n\na := 1 if input.x.flag == true\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if not data.lib\n",
        }
    },
    "own_package_member_of_other": {
        "modules": {
            "lib.rego": "package caracal\n\nimport rego.v1\n\na := 1 if input.x.flag == true\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if data.caracal.a\n",
        }
    },
    "empty_package": {
        "modules": {
            "lib.rego": "package lib\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if not data.lib\n",
        }
    },
    "package_below_a_rule": {
        "modules": {
            "lib.rego": "package caracal.authz.allow\n\nimport rego.v1\n\na := 1\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if input.x.n == 1\n",
        }
    },
    "package_with_a_string": {
        "modules": {
            "lib.rego": "package lib[\"a-b\"]\n\nimport rego.v1\n\nok if input.x.n == 1\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if data.lib[\"a-b\"].ok\n",
        }
    },
    "import_shadows_builtin": {
        "modules": {
            "lib.rego": "package lib.json\n\nimport rego.v1\n\nis_valid(_) := false\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\nimport data.lib.json\n\nallow if not json.is_valid(\"{}\")\n",
        }
    },
    "rule_shadows_builtin": {
        "modules": {"m.rego": "package caracal.authz\n\nimport rego.v1\n\nlower(x) := x\n\nv := lower(\"A\")\n"},
    },
    "argument_shadows_rule": {
        "modules": {"m.rego": "package caracal.authz\n\nimport rego.v1\n\nlevel := 1\n\nf(level) if not level == 2\n\nallow if f(input.x.n)\n"},
    },
    "argument_shadows_import": {
        "modules": {"m.rego": "package caracal.authz\n\nimport rego.v1\nimport data.limits\n\nf(limits) if not limits[\"a\"] == 2\n\nallow if f(input.x.o)\n"},
    },
    "variable_shadows_rule": {
        "modules": {"m.rego": "package caracal.authz\n\nimport rego.v1\n\nlevel := 1\n\nallow if { some level in input.x.list; not level == 2 }\n"},
    },
    "other_package_by_variable": {
        "modules": {
            "a.rego": "package lib.a\n\nimport rego.v1\n\nok if input.x.n == 1\n",
            "b.rego": "package lib.b\n\nimport rego.v1\n\nok if input.x.n == 7\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if { some p; data.lib[p].ok }\n",
        }
    },
    "other_package_by_input": {
        "modules": {
            "a.rego": "package lib.a\n\nimport rego.v1\n\nok if input.x.n == 1\n",
            "b.rego": "package lib.b\n\nimport rego.v1\n\nok if true\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if data.lib[input.x.k].ok\n",
        }
    },
    "other_package_by_input_negated": {
        "modules": {
            "a.rego": "package lib.a\n\nimport rego.v1\n\ndenied if input.x.n == 1\n",
            "b.rego": "package lib.b\n\nimport rego.v1\n\ndenied if true\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if not data.lib[input.x.k].denied\n",
        }
    },
    "other_package_defaults": {
        "modules": {
            "lib.rego": "package lib\n\nimport rego.v1\n\ndefault allow := false\n\nallow if input.x.n == 1\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if data.lib.allow\n",
        }
    },
    "all_packages_iterated": {
        "modules": {
            "a.rego": "package rules.a\n\nimport rego.v1\n\ndeny contains \"a\" if input.x.n == 1\n",
            "b.rego": "package rules.b\n\nimport rego.v1\n\ndeny contains \"b\" if input.x.flag == true\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nmessages contains m if { some p; some m in data.rules[p].deny }\n\nallow if count(messages) == 0\n",
        }
    },
    "all_packages_some_in": {
        "modules": {
            "a.rego": "package rules.a\n\nimport rego.v1\n\ndeny contains \"a\" if input.x.n == 1\n",
            "b.rego": "package rules.b\n\nimport rego.v1\n\ndeny contains \"b\" if input.x.flag == true\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nmessages contains m if { some p in data.rules; some m in p.deny }\n\nallow if count(messages) == 0\n",
        }
    },
    "package_and_data_of_one_tree": {
        "modules": {
            "lib.rego": "package teams.a\n\nimport rego.v1\n\nextra := 1\n",
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nv := [data.teams.a.lead, data.teams.a.extra]\n",
        }
    },
    "data_under_a_rule": {
        "modules": {"m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if input.x.n == 1\n"},
        "data": {"caracal": {"authz": {"allow": True}}},
    },
    "data_beside_a_rule": {
        "modules": {"m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if input.x.s in data.caracal.authz.words\n"},
        "data": {"caracal": {"authz": {"words": ["read"]}}},
    },
    "data_over_a_package": {
        "modules": {"m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if input.x.n == 1\n"},
        "data": {"caracal": {"authz": 5}},
    },
    "future_keywords": {
        "modules": {"m.rego": "package caracal.authz\n\nimport future.keywords.if\nimport future.keywords.in\n\nallow if \"viewer\" in input.x.roles\n"},
    },
    "no_import": {
        "modules": {"m.rego": "package caracal.authz\n\nallow if \"viewer\" in input.x.roles\n"},
    },
    "v0_syntax": {
        "modules": {"m.rego": "package caracal.authz\n\nallow { input.x.n == 1 }\n"},
    },
    "tests_beside": {
        "modules": {
            "m.rego": "package caracal.authz\n\nimport rego.v1\n\nallow if input.x.n == 1\n",
            "m_test.rego": "package caracal.authz_test\n\nimport rego.v1\nimport data.caracal.authz\n\ntest_allow if authz.allow with input as {\"x\": {\"n\": 1}}\n",
        },
    },
    "metadata_comments": {
        "modules": {"m.rego": "# METADATA\n# title: Rules\n# scope: package\npackage caracal.authz\n\nimport rego.v1\n\n# METADATA\n# title: Allow\nallow if input.x.n == 1\n"},
    },
}

# Calls of built-ins with unusual arguments, each a policy of its own.
CALLS = r'''
abs(-2.5)
abs(input.x.n)
array.slice([1, 2, 3], -1, 2)
array.slice([1, 2, 3], 2, 1)
array.slice([1, 2, 3], 0, 9)
array.concat([], [])
array.reverse([])
base64.decode("YQ")
base64.decode("")
base64.is_valid("YQ==")
base64.is_valid("YQ")
base64url.decode("YQ==")
base64url.decode("YQ")
base64url.encode("a")
bits.lsh(1, 70)
bits.rsh(-8, 1)
bits.and(-1, 255)
bits.negate(-1)
ceil(-1.5)
floor(-1.5)
round(0.5)
round(1.5)
round(-0.5)
concat(",", [])
concat("", ["a", "b"])
contains("", "")
contains("abc", "")
count("日本")
count({})
endswith("abc", "")
format_int(-255, 16)
format_int(5, 2)
format_int(8, 8)
format_int(3.7, 10)
format_int(-3.7, 10)
glob.match("*", ["."], "a.b")
glob.match("**", ["."], "a.b")
glob.match("*", null, "a.b")
glob.match("a?c", ["."], "a.c")
glob.match("", [], "")
glob.match("{a,b}*", [], "bc")
glob.match("\\*", [], "*")
glob.match("[", [], "a")
glob.match("/a/*/c", ["/"], "/a/b/c")
glob.match("/a/*/c", ["/"], "/a/b/d/c")
glob.match("/a/**/c", ["/"], "/a/b/d/c")
glob.match("/a/**", ["/"], "/a")
glob.match("a*", ["/"], "a/b")
glob.match("*.example.com", ["."], "x.example.com")
glob.match("*.example.com", ["."], "x.y.example.com")
glob.match("*:read", [":"], "files:read")
glob.quote_meta("a{b}[c]?")
hex.decode("zz")
hex.decode("FF")
hex.encode("é")
indexof("", "a")
indexof("abc", "")
indexof("héllo", "l")
indexof_n("aaa", "aa")
indexof_n("abc", "z")
json.is_valid("1")
json.is_valid("{'a': 1}")
json.unmarshal("1e3")
json.unmarshal("12345678901234567890")
json.unmarshal("\"a\"")
json.unmarshal("[1, 1.0, 1.50]")
json.filter({"a": [1, 2]}, ["a/0"])
json.filter({"a": 1}, [])
json.remove({"a": [1, 2, 3]}, ["a/1"])
json.remove({"a": {"b": 1}}, [["a", "b"]])
lower("ÄÖ")
upper("straße")
max([])
max(["b", "a"])
max([1, "a"])
min({})
min([null, false])
net.cidr_contains("10.0.0.0/8", "10.0.0.0/7")
net.cidr_contains("::/0", "::1")
net.cidr_contains("10.0.0.1/8", "10.2.0.0")
net.cidr_contains("10.0.0.0/8", "::1")
net.cidr_expand("10.0.0.0/30")
net.cidr_expand("10.0.0.1/32")
net.cidr_is_valid("::1/128")
net.cidr_is_valid("10.0.0.1/8")
net.cidr_is_valid("10.0.0.0/33")
net.cidr_is_valid("")
numbers.range(2, 2)
numbers.range_step(10, 0, 3)
numbers.range_step(0, 10, 0)
numbers.range(1.5, 3)
object.get({"a": null}, "a", 1)
object.get({"a": {"b": 1}}, [], 0)
object.get({"a": {"b": 1}}, ["a"], 0)
object.get({"a": [1, 2]}, ["a", 1], 0)
object.get({"a": [1, 2]}, ["a", 5], 0)
object.get({1: "x"}, 1, 0)
object.filter({"a": 1, "b": 2}, ["a"])
object.filter({"a": 1}, {"a": 9})
object.remove({"a": 1, "b": 2}, {"a"})
object.remove({"a": 1, "b": 2}, {"a": 5})
object.keys({})
object.subset({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}})
object.subset({"a": 1}, {"a": 2})
object.subset([1, 2, 3], [1, 3])
object.subset([1, 2, 3], {1, 3})
object.subset({"a": [1, 2]}, {"a": [1]})
object.union({"a": {"b": 1}}, {"a": 2})
object.union_n([])
object.union_n([{"a": {"b": 1}}, {"a": {"c": 2}}])
product([])
product([1.5, 2])
regex.find_n("a", "banana", 2)
regex.find_n("z", "banana", -1)
regex.globs_match("a.*", "ab.*")
regex.globs_match("a", "b")
regex.is_valid("(?P<n>a)")
regex.is_valid("(?=a)")
regex.match("a(?=b)", "ab")
regex.match("", "abc")
regex.match("^$", "")
regex.match("(?i)ABC", "abc")
regex.match("\\bfoo\\b", "a foo b")
regex.match("^\\d+$", "١٢")
regex.match("^\\w+$", "é")
regex.match("[[:alpha:]]", "é")
regex.match("^.$", "\n")
regex.match("a{2,}", "aa")
regex.match("\\p{L}", "é")
regex.match("^a.c$", "a\nc")
regex.match("^b", "a\nb")
regex.match("(?m)^b", "a\nb")
regex.match("b$", "b\n")
regex.match("\\s", "\u00a0")
regex.match("\\z", "")
regex.match("\\C", "a")
regex.match("[a-z&&[^b]]", "b")
regex.match("[\\w&&\\d]", "a")
regex.match("[a~~b]", "~")
regex.match("a++", "a")
regex.match("x*+", "x")
regex.match("(?x)a b", "ab")
regex.match("(?U)a+", "aa")
regex.match("a{,2}", "a{,2}")
regex.match("{", "{")
regex.match("\\/", "/")
regex.match("\\_", "_")
regex.match("\\<a", "a")
regex.match("\\Qa.b\\E", "a.b")
regex.replace("abc", "b", "$0$0")
regex.replace("abc", "(b)", "${1}x")
regex.replace("abc", "(b)", "$1x")
regex.replace("aaa", "", "-")
regex.split(",", "a,,b")
regex.split("", "abc")
regex.split("z", "abc")
regex.template_match("a{[0-9]+}b", "a12b", "{", "}")
regex.template_match("a{[0-9]+}b", "axb", "{", "}")
replace("aaa", "a", "b")
replace("abc", "", "-")
semver.compare("1.0.0-alpha", "1.0.0")
semver.compare("1.0.0+a", "1.0.0+b")
semver.compare("1.0", "1.0.0")
semver.is_valid("v1.0.0")
semver.is_valid("1.0.0-rc.1+5")
sort({"b", "a"})
sort(["b", 1, null])
split("", "")
split("abc", "")
split("a.b", ".")
split("", ".")
sprintf("%v", ["a"])
sprintf("%v", [1e21])
sprintf("%v", [0.1])
sprintf("%v", [100000000000000000000])
sprintf("%d%%", [5])
sprintf("%v", [["a", {"b": null}]])
sprintf("%v", [{"z": 1, "a": "q"}])
sprintf("%v", [{"x", "y"}])
sprintf("%v %v", [true, null])
sprintf("%v", [-0.5])
sprintf("%v", [1.0])
sprintf("%v", [1e6])
sprintf("%v", [123456789])
startswith("abc", "")
strings.any_prefix_match("abc", "ab")
strings.any_prefix_match(["abc", "x"], ["b", "x"])
strings.any_prefix_match([], [])
strings.any_suffix_match("abc", ["bc", "d"])
strings.count("aaa", "aa")
strings.count("abc", "")
strings.replace_n({"a": "b", "b": "c"}, "ab")
strings.replace_n({}, "ab")
strings.reverse("né")
substring("abc", -1, 2)
substring("abc", 5, 1)
substring("abc", 1, 0)
substring("abc", 3, -1)
sum([1.5, 2])
sum([0.1, 0.2])
sum({1, 1})
to_number("0x10")
to_number("1e3")
to_number(" 1")
to_number("")
to_number("1_000")
to_number("+1")
to_number(".5")
to_number("Infinity")
to_number(false)
to_number("12345678901234567890")
trim("xxaxx", "x")
trim("abc", "")
trim_left("aab", "ab")
trim_prefix("aab", "b")
trim_right("aab", "b")
trim_space("\t a\n")
trim_space("\u00a0a")
trim_suffix("aab", "")
type_name(set())
type_name(1.5)
units.parse("1.5")
units.parse("1Ki")
units.parse("1m")
units.parse("10MB")
units.parse("")
units.parse_bytes("1.5KB")
units.parse_bytes("10")
units.parse_bytes("1 KB")
units.parse_bytes("1kb")
units.parse_bytes("1XB")
union({{1}, set()})
union(set())
intersection({{1}, set()})
intersection(set())
upper("")
time.add_date(0, 1, 1, 1)
time.add_date(951782400000000000, 1, 0, 0)
time.clock(1585852421593912000)
time.clock([1585852421593912000, "Europe/Berlin"])
time.date(1585852421593912000)
time.diff(1585852421593912000, 0)
time.format(1585852421593912000)
time.format([1585852421593912000, "UTC", "2006-01-02"])
time.parse_duration_ns("1h30m")
time.parse_duration_ns("1d")
time.parse_ns("2006-01-02", "2020-02-30")
time.parse_ns("2006-01-02", "2020-02-03")
time.parse_rfc3339_ns("2020-01-01T00:00:00.5+02:00")
time.parse_rfc3339_ns("2020-01-01")
time.weekday(0)
'''
