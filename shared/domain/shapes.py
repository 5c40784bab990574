"""Which model reads which part of a document, as the annotations of models tell."""

import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_UNIONS: Final = (Union, types.UnionType)
_LISTS: Final = (list, tuple)
_PAIR: Final = 2
"""A mapping has two type arguments, and so has a tuple of any length."""


class Step(NamedTuple):
    """One part of the location of a finding: a key, or the tag of a union, which is none."""

    segment: int | str
    is_tag: bool
    model: type[BaseModel] | None
    """What reads the object that the key is of, if that is known."""


def steps(location: tuple[int | str, ...], shape: Any) -> Iterator[Step]:
    """Go with pydantic's `location` through what `shape`, a model or an annotation, reads."""
    for segment in location:
        tagged = _tagged(shape)
        if segment in tagged:
            yield Step(segment, is_tag=True, model=None)
            shape = tagged[str(segment)]
            continue
        plain = _plain(shape)
        model = plain if _is_model(plain) else None
        yield Step(segment, is_tag=False, model=model)
        shape = fields_of(model).get(str(segment)) if model else _item(plain)


@cache
def fields_of(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return the fields of a model by the names that they have in a document."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _tagged(shape: Any) -> Mapping[str, Any]:
    """Return the models of a union by the tags that tell them apart; of anything else, none."""
    discriminator, members = None, [shape]
    while len(members) == 1 and (inner := _inside(members[0])) is not None:
        discriminator = _discriminator(members[0]) or discriminator
        members = inner
    if not isinstance(discriminator, str):
        return {}
    found: dict[str, Any] = {}
    for member in members:
        own = _is_model(member)
        found |= dict.fromkeys(_tags(member, discriminator), member) if own else _tagged(member)
    return found


def _inside(shape: Any) -> list[Any] | None:
    """Return what is wrapped: by a field, metadata, or a union, of which `None` does not count."""
    if isinstance(shape, FieldInfo):
        return [shape.annotation]
    if get_origin(shape) is Annotated:
        return [get_args(shape)[0]]
    if get_origin(shape) in _UNIONS:
        return [member for member in get_args(shape) if member is not type(None)]
    return None


def _discriminator(shape: Any) -> object:
    told = [shape, *get_args(shape)[1:]] if get_origin(shape) is Annotated else [shape]
    return next((one.discriminator for one in told if getattr(one, "discriminator", None)), None)


def _tags(model: type[BaseModel], discriminator: str) -> tuple[str, ...]:
    field = fields_of(model).get(discriminator)
    is_named = field is not None and get_origin(field.annotation) is Literal
    return tuple(map(str, get_args(field.annotation))) if field and is_named else ()


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)


def _plain(shape: Any) -> Any:
    """Return what a place holds, without what is wrapped around; of several, nothing."""
    while (inner := _inside(shape)) is not None:
        shape = inner[0] if len(inner) == 1 else None
    return shape


def _item(plain: Any) -> Any:
    """Return what the items of a list, or the values of a mapping, are."""
    arguments = get_args(plain)
    if get_origin(plain) in _LISTS:
        return arguments[0] if arguments else None
    return arguments[1] if len(arguments) == _PAIR else None
