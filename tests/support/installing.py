"""Installing a package of actions without pip or network: its modules, and what pip notes of it.

That is all that entry points need; `tests/support/plugin` is a package installed like this.
"""

import shutil
import tomllib
from pathlib import Path
from typing import Any


def install(package: Path, target: Path) -> Path:
    """Install a package from its source, as its pyproject.toml says; returns the target."""
    project = tomllib.loads((package / "pyproject.toml").read_text())
    for module in project["tool"]["setuptools"]["py-modules"]:
        shutil.copy(package / f"{module}.py", target)
    about = project["project"]
    note(target, about["name"], about["version"], about["entry-points"])
    return target


def note(target: Path, name: str, version: str, entry_points: dict[str, dict[str, Any]]) -> None:
    """Write down that a package is installed, and its entry points."""
    info = target / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    sections = (
        f"[{group}]\n" + "".join(f"{entry} = {value}\n" for entry, value in entries.items())
        for group, entries in entry_points.items()
    )
    (info / "entry_points.txt").write_text("\n".join(sections))
