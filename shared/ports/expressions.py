"""STUB."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue


class Expression(Protocol):
    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue: ...


class ExpressionLanguage(Protocol):
    def compile(self, source: str) -> Expression: ...
