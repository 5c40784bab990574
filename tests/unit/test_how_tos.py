"""Every definition in the how-tos and the README is one that the API would accept."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from shared.adapters.cel.language import CelLanguage
from shared.adapters.json_schema.validator import JsonSchemaValidator
from shared.domain.data_flow import check_data_flow
from tests.support.builders import CATALOGUE
from tests.support.servers import ROOT
from tests.unit.test_openapi import DOCUMENT

PAGES: Final = sorted((ROOT / "docs" / "how-to").glob("*.md"))
README: Final = ROOT / "README.md"
ENVIRONMENT: Final = frozenset({"REGION"})
BLOCK: Final = re.compile(r"^```json\n(.*?)^```", re.DOTALL | re.MULTILINE)


def definitions(page: Path) -> list[dict[str, Any]]:
    """Return the definitions that a page shows."""
    blocks = [json.loads(text) for text in BLOCK.findall(page.read_text())]
    return [block for block in blocks if "workflowId" in block]


SHOWN: Final = [
    pytest.param(definition, id=f"{page.stem}/{definition['workflowId']}")
    for page in [*PAGES, README]
    for definition in definitions(page)
]


@pytest.mark.parametrize("document", SHOWN)
def test_a_definition_that_is_shown_is_accepted(document: dict[str, Any]) -> None:
    definition = CATALOGUE.parse(document)
    check_data_flow(definition, CelLanguage(), ENVIRONMENT)
    if definition.input_schema is not None:
        JsonSchemaValidator().check_schema(definition.input_schema, "/inputSchema")


def test_no_two_pages_use_one_name() -> None:
    names = [d["workflowId"] for page in [*PAGES, README] for d in definitions(page)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_short_and_linked_from_the_readme(page: Path) -> None:
    assert f"](docs/how-to/{page.name})" in README.read_text()
    assert page.read_text().count("\n") <= 150


def test_every_route_that_is_named_exists() -> None:
    there = {
        f"{method.upper()} {re.sub('{[a-z_]+}', '{}', path)}"
        for path, methods in DOCUMENT["paths"].items()
        for method in methods
    }
    named = {
        f"{method} {re.sub('{[a-zA-Z]+}', '{}', path)}"
        for page in PAGES
        for method, path in re.findall(r"`(GET|POST) (/[a-zA-Z/{}]+)", page.read_text())
    }
    assert len(named) > 8
    assert named - there == set()
