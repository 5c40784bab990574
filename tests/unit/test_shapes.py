"""Where in a document a finding is, whatever unions a model is made of."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from shared.domain.problems import describe


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Cat(Strict):
    kind: Literal["cat"]
    lives: int


class Dog(Strict):
    kind: Literal["dog", "hound"]
    name: str


class Bird(Strict):
    kind: Literal["bird"]
    wings: int


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]
Animal = Annotated[Pet | Bird, Field(discriminator="kind")]


def _said(given: Any) -> str:
    return str(given.get("kind")) if isinstance(given, dict) else ""


class House(Strict):
    pet: Pet | None = None
    pets: list[Pet] = []
    named: dict[str, Pet] = {}
    animal: Animal | None = None
    either: Cat | Bird | None = None
    chosen: (
        Annotated[Annotated[Cat, Tag("cat")] | Annotated[Bird, Tag("bird")], Discriminator(_said)]
        | None
    ) = None


def _places(document: Any) -> set[str]:
    with pytest.raises(ValidationError) as refusal:
        House.model_validate(document)
    found = refusal.value.errors(include_url=False)
    return {problem.pointer for problem in describe(found, document, House)}


@pytest.mark.parametrize(
    ("document", "places"),
    [
        ({"pet": {"kind": "cat", "cat": 1}}, {"/pet/lives", "/pet/cat"}),
        ({"pet": {"kind": "hound", "hound": 1}}, {"/pet/name", "/pet/hound"}),
        ({"pets": [{"kind": "dog", "dog": 1}]}, {"/pets/0/name", "/pets/0/dog"}),
        ({"named": {"cat": {"kind": "cat", "cat": 1}}}, {"/named/cat/lives", "/named/cat/cat"}),
        ({"named": {"dog": {"kind": "cat", "dog": 1}}}, {"/named/dog/lives", "/named/dog/dog"}),
        ({"animal": {"kind": "bird", "bird": 1}}, {"/animal/wings", "/animal/bird"}),
        ({"animal": {"kind": "dog", "dog": 1}}, {"/animal/name", "/animal/dog"}),
        ({"chosen": {"kind": "bird", "legs": 2}}, {"/chosen/wings", "/chosen/legs"}),
        ({"house": 1, "pets": [1]}, {"/house", "/pets/0"}),
    ],
)
def test_the_tag_of_a_union_is_no_place(document: Any, places: set[str]) -> None:
    assert _places(document) == places


def test_a_union_without_tags_is_none_of_its_members() -> None:
    assert "/either/lives" in _places({"either": {"kind": "cat"}})
