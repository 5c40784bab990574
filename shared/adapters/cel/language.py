"""STUB."""

from collections.abc import Mapping
from dataclasses import dataclass

import cel
from pydantic import JsonValue


@dataclass
class E:
    p: cel.Program

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        return self.p.execute(dict(scope))


class CelLanguage:
    def compile(self, source: str) -> E:
        return E(cel.compile(source))
