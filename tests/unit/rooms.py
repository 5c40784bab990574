"""Reading source files for what they import, call and measure, without running them."""

import ast
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).parents[2]
STDLIB: Final = sys.stdlib_module_names
Finding = tuple[int, str]
Check = Callable[["Source"], Iterable[Finding]]
Function = ast.FunctionDef | ast.AsyncFunctionDef

_WALL_CLOCK: Final = frozenset(
    {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "time.clock_gettime",
        "time.clock_gettime_ns",
        "time.ctime",
        "time.gmtime",
        "time.localtime",
        "time.strftime",
        "time.time",
        "time.time_ns",
        "uuid.uuid1",
    }
)


@dataclass(frozen=True)
class Source:
    """One source file: where it lies, seen from the root of the project, and what it says."""

    path: str
    text: str

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Everything in it, from the outside to the inside."""
        return tuple(ast.walk(ast.parse(self.text)))

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.path).name

    def imports(self) -> Iterator[Finding]:
        """Yield what it imports, as `package.module.name` where it imports a name."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = self._module(node)
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Each name that an import binds, with the full name of what it stands for."""
        names = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    names[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{self._module(node)}.{alias.name}"
        return names

    def _module(self, node: ast.ImportFrom) -> str:
        """Return the absolute name of the module that is imported from."""
        if not node.level:
            return node.module or ""
        package = PurePosixPath(self.path).parts[: -node.level]
        return ".".join([*package, *([node.module] if node.module else [])])


@dataclass(frozen=True)
class Rule:
    """Something that must hold in some files, but for findings that begin like an exception."""

    where: Callable[[Source], bool]
    check: Check
    exceptions: Collection[str] = ()

    def offences(self, sources: Iterable[Source]) -> list[str]:
        """Return what breaks the rule, as `path:line: finding`."""
        return [
            f"{source.path}:{line}: {finding}"
            for source, line, finding in self._findings(sources)
            if not any(f"{source.path}: {finding}".startswith(e) for e in self.exceptions)
        ]

    def unused_exceptions(self, sources: Iterable[Source]) -> set[str]:
        """Return the exceptions that nothing needs any more."""
        found = [f"{source.path}: {finding}" for source, _, finding in self._findings(sources)]
        return {e for e in self.exceptions if not any(text.startswith(e) for text in found)}

    def _findings(self, sources: Iterable[Source]) -> Iterator[tuple[Source, int, str]]:
        for source in filter(self.where, sources):
            for line, finding in sorted(self.check(source)):
                yield source, line, finding


def sources_in(*folders: str) -> list[Source]:
    """Return all source files in folders of the project."""
    found = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text()) for file in found]


def inside(*folders: str) -> Callable[[Source], bool]:
    """Return whether a file lies in one of some folders of the project, at any depth."""
    return lambda source: any(source.path.startswith(f"{folder}/") for folder in folders)


def within(module: str, packages: Collection[str]) -> bool:
    """Tell whether a module is one of some packages, or in one of them."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def imports_only(packages: Collection[str], *, stdlib_but: Collection[str] | None = None) -> Check:
    """Check that nothing but some packages and, unless it is None, the library is imported."""

    def check(source: Source) -> Iterator[Finding]:
        for line, module in source.imports():
            library = module.partition(".")[0] in STDLIB and stdlib_but is not None
            fits = within(module, packages) or (library and not within(module, stdlib_but or ()))
            if not fits:
                yield line, f"imports {module}"

    return check


def imports_none_of(*packages: str) -> Check:
    """Check that none of some packages is imported."""

    def check(source: Source) -> Iterator[Finding]:
        for line, module in source.imports():
            if within(module, packages):
                yield line, f"imports {module}"

    return check


def is_synchronous(source: Source) -> Iterator[Finding]:
    """Check that nothing waits."""
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    for node in source.nodes:
        if isinstance(node, waiting) or (isinstance(node, ast.comprehension) and node.is_async):
            yield getattr(node, "lineno", 0), type(node).__name__


def does_no_io(source: Source) -> Iterator[Finding]:
    """Check that no built-in function is used that reads or writes outside the process."""
    acting = {"open", "print", "input", "exec", "eval"}
    for node in source.nodes:
        if isinstance(node, ast.Call) and _full_name(node.func, {}) in acting:
            yield node.lineno, f"calls {ast.unparse(node.func)}"


def reads_no_wall_clock(source: Source) -> Iterator[Finding]:
    """Check that the machine's wall clock is neither read nor handed on."""
    for node in source.nodes:
        if isinstance(node, ast.Name | ast.Attribute):
            called = _full_name(node, source.names)
            if called in _WALL_CLOCK:
                yield node.lineno, f"reads {called}"


def imports_at_the_top(source: Source) -> Iterator[Finding]:
    """Check that nothing is imported within a function or class, or by a call."""
    for node in source.nodes:
        if isinstance(node, Function | ast.ClassDef):
            inner = (
                part for part in ast.walk(node) if isinstance(part, ast.Import | ast.ImportFrom)
            )
            yield from ((part.lineno, f"imports within {node.name}") for part in inner)
        elif isinstance(node, ast.Call):
            name = _full_name(node.func, source.names)
            if name in {"__import__", "importlib.import_module"}:
                yield node.lineno, f"calls {name}"


def says_what_it_is_for(source: Source) -> Iterator[Finding]:
    """Check that no part of the path is a name for anything and everything."""
    vague = {"util", "helper", "manager", "common"}
    for part in PurePosixPath(source.path).with_suffix("").parts:
        words = {word.removesuffix("s") for word in part.split("_")}
        if words & vague:
            yield 0, f"is named {part}"


def has_at_most(lines: int) -> Check:
    """Check the length of a file."""

    def check(source: Source) -> Iterator[Finding]:
        length = len(source.text.splitlines())
        if length > lines:
            yield length, f"has more than {lines} lines"

    return check


def has_functions_of_at_most(lines: int) -> Check:
    """Check the length of every function, its signature and docstring included."""

    def check(source: Source) -> Iterator[Finding]:
        for node in source.nodes:
            if isinstance(node, Function):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > lines:
                    yield node.lineno, f"{node.name} has more than {lines} lines"

    return check


def _full_name(node: ast.expr, names: Mapping[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = _full_name(node.value, names)
        return f"{owner}.{node.attr}" if owner else None
    return None
