"""The definition reference, made from the models that read definitions; `make docs` writes it."""

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from shared.adapters.cel.functions import MAX_TEXT
from shared.adapters.cel.language import MAX_SOURCE, CelLanguage
from shared.adapters.cel.metering import WORK
from shared.adapters.cel.reading import MAX_NESTED_MACROS, MAX_SUMS
from shared.domain.actions import BUILT_IN_ACTIONS, HttpTimeouts
from shared.domain.catalogue import ActionSpec
from shared.domain.definition import ActionDefinition, ForEach, WorkflowDefinition
from shared.domain.durations import format_duration
from shared.domain.retry import Backoff, RetryPolicy
from shared.domain.templates import ATTRIBUTES
from shared.domain.triggers import CronTrigger, ManualTrigger, OnceTrigger, PeriodicTrigger
from tests.support import reference_words as words
from tests.support.fields import Field, fields_of

FILE: Final = Path(__file__).parents[2] / "docs" / "reference" / "definition.md"
_HEADINGS: Final = ("field", "type", "default", "limits", "")


def text() -> str:
    """Return the whole reference as Markdown."""
    return "\n".join(
        [
            words.HEAD,
            *_model("## Workflow", WorkflowDefinition),
            *_model("### Trigger: manual", ManualTrigger),
            *_model("### Trigger: periodic", PeriodicTrigger),
            *_model("### Trigger: cron", CronTrigger),
            *_model("### Trigger: once", OnceTrigger),
            *_model("## Every action", ActionDefinition),
            *_model("### forEach", ForEach),
            *_model("### retry", RetryPolicy),
            *_model("### backoff", Backoff),
            *_types(),
            *(line for spec in BUILT_IN_ACTIONS for line in _action(spec)),
            *_expressions(),
        ]
    )


def _types() -> Iterator[str]:
    yield "## Types of action\n"
    yield "More are added by packages: [writing your own action](../how-to/writing-an-action.md).\n"
    yield from _table(
        ("type", "effect", "retry", "timeout", ""),
        (
            (
                f"[`{spec.name}`](#{spec.name})",
                spec.effect.value,
                _own_retry(spec.retry),
                _own_timeout(spec),
                spec.summary,
            )
            for spec in BUILT_IN_ACTIONS
        ),
    )
    yield "Effects say what calling an action once more does:\n"
    yield from (f"- **{effect.value}**: {said}" for effect, said in words.EFFECTS.items())
    yield ""


def _own_retry(policy: RetryPolicy | None) -> str:
    return f"{policy.retries} retries" if policy else "the workflow's"


def _own_timeout(spec: ActionSpec) -> str:
    default = spec.params.model_fields["timeout"].default or spec.timeout
    return format_duration(default) if isinstance(default, timedelta) else "none"


def _action(spec: ActionSpec) -> Iterator[str]:
    envelope = set(ActionDefinition.model_fields)
    # A field of every action is shown again where this type of action changes it.
    shown = {
        name
        for name, field in spec.params.model_fields.items()
        if name not in envelope
        or (name != "type" and field.default != ActionDefinition.model_fields[name].default)
    }
    yield from _model(f"### {spec.name}", spec.params, shown)
    if spec.name == "http-request":
        yield from _model("#### timeouts", HttpTimeouts)


def _model(heading: str, model: type[BaseModel], only: Iterable[str] | None = None) -> list[str]:
    shown = set(model.model_fields if only is None else only)
    rows = (_row(field) for field in fields_of(model) if field.attribute in shown)
    return [f"{heading}\n", _told(model), *_table(_HEADINGS, rows)]


def _told(model: type[BaseModel]) -> str:
    """Return what a model's author says of it, without what is for readers of the code."""
    paragraphs = (" ".join(part.split()) for part in (model.__doc__ or "").split("\n\n"))
    said = "\n\n".join(part for part in paragraphs if part)
    return said.replace(" `ActionCatalogue.model` narrows `actions` to known types.", "") + "\n"


def _row(field: Field) -> tuple[str, ...]:
    said = field.description.replace("types of action", "[types of action](#types-of-action)")
    return (f"`{field.name}`", field.kind, field.default, field.limits, said)


def _expressions() -> Iterator[str]:
    yield "## Expressions\n"
    yield words.EXPRESSIONS
    attributes = ", ".join(f"`{name}`" for name in ATTRIBUTES)
    rows = (
        (f"`{name}`", said + (f"{attributes}." if said.endswith("Fields: ") else ""))
        for name, said in words.VARIABLES.items()
    )
    yield from _table(("variable", ""), rows)
    shown = json.dumps(words.EXAMPLE_INPUT)
    yield f"Every function there is, with the input `{shown}`:\n"
    yield from _table(("", "expression", "value"), _examples())
    yield (
        f"Limits: {MAX_SOURCE:,} characters, macros nested {MAX_NESTED_MACROS} deep, `+` "
        f"{MAX_SUMS} times, {WORK:,} steps for one evaluation, {MAX_TEXT:,} characters for a "
        "text that `join` or `replace` makes. There is no clock and no chance in an expression: "
        "the same values always give the same result. Known differences from CEL: "
        "[decision 10](../decisions/0010-cel-expressions.md).\n"
    )


def _examples() -> Iterator[tuple[str, ...]]:
    language, scope = CelLanguage(), {"input": words.EXAMPLE_INPUT}
    for group, sources in words.EXAMPLES.items():
        for source in sources:
            value = json.dumps(language.compile(source).evaluate(scope), sort_keys=True)
            yield (group, f"`{source}`".replace("|", r"\|"), f"`{value}`")
            group = ""  # noqa: PLW2901 - said once


def _table(headings: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    columns = tuple(headings)
    yield _line(columns)
    yield "|" + "---|" * len(columns)
    yield from map(_line, rows)
    yield ""


def _line(cells: Iterable[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


if __name__ == "__main__":
    FILE.write_text(text())
