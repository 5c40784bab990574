"""What the definition reference says besides what the models tell."""

from typing import Final

from pydantic import JsonValue

from shared.domain.catalogue import Effect

HEAD: Final = """\
# Definition reference

Made from the models by `make docs`; do not edit it. How things are used: [how-tos](../how-to).
The same as a JSON Schema, with the actions that are installed where you ask:
`GET /schemas/workflow.json`; the types of action alone: `GET /actions`.

A **duration** is a whole number and a unit, `500ms`, `10s`, `5m`, `24h`, `7d`, up to 365 days; a
day is 24 hours. An **interval** is the same without `ms`, and at least `1s`. Answers have no `d`:
there `1d` is `24h`. Fields that are not listed are refused.
"""

EFFECTS: Final[dict[Effect, str]] = {
    Effect.PURE: "Calling it again changes nothing outside.",
    Effect.IDEMPOTENT: "Calling it again with the same idempotency key is safe, or is told apart "
    "by whoever receives it. After a crash it is called again.",
    Effect.AT_MOST_ONCE: "A second call may do harm. The intent is on record before the call; "
    "if the runner dies during it, the outcome is `unknown` and a person decides.",
}

EXPRESSIONS: Final = """\
`${ … }` in a string is an expression in [CEL](https://cel.dev). A string that is one expression
and nothing else becomes its value, of any type. In a longer text a string stands as it is,
anything else as compact JSON. `$${` is a literal `${`. `${secret:NAME}` is no expression: the
runner puts the secret in when it runs the action, and no expression can see or make one.

Expressions may stand in every parameter of an action, in `when` and in `forEach.items`, but not
in its other common fields and not in the keys of objects. They are checked when a definition is
accepted: syntax, functions, variables, ids of actions and that these come before. What only a
value can show, such as a missing field of the input, fails the action when it runs, as
`permanent`.
"""

VARIABLES: Final = {
    "input": "What the execution was triggered with; `null` if nothing.",
    "actions": 'Every action that comes before this one, by id: `actions.ID`, or `actions["an-id"]`'
    " for an id with `-`. Fields: ",
    "execution": "`id`, `trigger` (its id, or `manual`), `createdAt`, and `scheduledFor` (`null` "
    "unless a schedule fired it).",
    "workflow": "`id` and `version`.",
    "env": "The environment variables of the runner that the setting `EXPRESSION_ENV` lists.",
    "item": "Within a `forEach`: the item.",
    "index": "Within a `forEach`: its position, from 0.",
}

EXAMPLE_INPUT: Final[JsonValue] = {
    "name": "Ada",
    "tags": ["b", "a"],
    "lines": [{"n": 2, "price": 5.5}, {"n": 1, "price": 20}],
    "at": "2026-03-01T10:20:30.500Z",
}

EXAMPLES: Final = {
    "Logic and fields": (
        "has(input.email) ? input.email : 'nobody'",
        "input.name == 'Ada' && size(input.tags) > 1",
        "'a' in input.tags",
        "input.lines[0].n",
        "{'lines': input.lines.size()}",
    ),
    "Lists": (
        "input.lines.filter(l, l.price > 10)",
        "input.lines.map(l, l.n * 2)",
        "input.lines.map(l, l.price > 10, l.n)",
        "input.lines.all(l, l.n > 0)",
        "input.lines.exists(l, l.n == 1)",
        "input.lines.exists_one(l, l.n == 1)",
        "input.tags.existsOne(t, t == 'a')",
        "input.lines.map(l, l.n).sum()",
        "[[1], [2, 3]].flatten()",
        "input.tags.join(', ')",
    ),
    "Text": (
        "input.name.contains('d')",
        "input.name.startsWith('A')",
        "input.name.endsWith('x')",
        "input.name.matches('^A.a$')",
        "'a,b'.split(',')",
        "'a-b'.replace('-', '+')",
        "input.name.substring(0, 2)",
        "input.name.indexOf('a')",
        "' x '.trim()",
        "input.name.lowerAscii()",
        "input.name.upperAscii()",
        "base64.encode('hi')",
        "string(base64.decode('aGk='))",
        "string(bytes('hi'))",
    ),
    "Numbers": (
        "int('42') + 1",
        "uint(3)",
        "double('1.5')",
        "string(7)",
        "math.greatest(1, 3)",
        "math.least([4, 2])",
        "math.abs(-3)",
        "math.round(2.5)",
        "math.ceil(1.2)",
        "math.floor(1.8)",
        "type(1) == int",
        "dyn(1)",
    ),
    "Instants and lengths of time": (
        "timestamp(input.at) + duration('90m')",
        "timestamp('2026-03-02T00:00:00Z') - timestamp(input.at)",
        "timestamp(input.at).getFullYear()",
        "timestamp(input.at).getMonth()",
        "timestamp(input.at).getDate()",
        "timestamp(input.at).getDayOfMonth()",
        "timestamp(input.at).getDayOfWeek()",
        "timestamp(input.at).getDayOfYear()",
        "timestamp(input.at).getHours()",
        "timestamp(input.at).getMinutes()",
        "timestamp(input.at).getSeconds()",
        "timestamp(input.at).getMilliseconds()",
    ),
}
"""Expressions that use every function there is; their values are computed."""
