"""The definition reference says all there is, and only what is true."""

import re

import pytest
from pydantic import BaseModel

from shared.adapters.cel.functions import ADDED, NATIVE
from shared.adapters.cel.reading import MACROS
from shared.domain.actions import BUILT_IN_ACTIONS, HttpTimeouts
from shared.domain.catalogue import Effect
from shared.domain.definition import ActionDefinition, ForEach, WorkflowDefinition
from shared.domain.retry import Backoff, RetryPolicy
from shared.domain.scope import ITEM_VARIABLES, VARIABLES
from shared.domain.triggers import CronTrigger, ManualTrigger, OnceTrigger, PeriodicTrigger
from tests.support import reference
from tests.support import reference_words as words
from tests.support.fields import fields_of

MODELS: list[type[BaseModel]] = [
    WorkflowDefinition,
    PeriodicTrigger,
    CronTrigger,
    OnceTrigger,
    ManualTrigger,
    ActionDefinition,
    ForEach,
    RetryPolicy,
    Backoff,
    HttpTimeouts,
    *(spec.params for spec in BUILT_IN_ACTIONS),
]


def test_the_definition_reference_is_what_the_models_say() -> None:
    assert reference.FILE.read_text() == reference.text(), "run 'make docs'"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_is_described(model: type[BaseModel]) -> None:
    missing = {field.name for field in fields_of(model) if not field.description}
    common = {field.name for field in fields_of(ActionDefinition)}
    assert missing - (common if model is not ActionDefinition else set()) == set()


def test_every_function_has_an_example() -> None:
    sources = " ".join(source for group in words.EXAMPLES.values() for source in group)
    used = set(re.findall(r"(?:math\.|base64\.)?[A-Za-z_]+(?=\()", sources))
    assert used - {"lines", "tags"} == NATIVE | ADDED.keys() | MACROS


def test_every_variable_and_effect_is_described() -> None:
    assert set(words.VARIABLES) == VARIABLES | ITEM_VARIABLES
    assert set(words.EFFECTS) == set(Effect)
