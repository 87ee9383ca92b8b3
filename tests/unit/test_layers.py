"""Imports run one way, and what must stay light never loads torch. Held by walking the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import dreamd
from dreamd.cli import COMMANDS

CORE = Path(dreamd.__file__).parent
REPOSITORY = CORE.parent
FIRST_PARTY = REPOSITORY / "plugins" / "dreamd_plugins"


@cache
def imports_of(file: Path) -> frozenset[tuple[str, bool]]:
    """Every import of a file but those for type checkers: the module, and whether it is imported with the file."""
    return frozenset(_imports(ast.parse(file.read_text(encoding="utf-8")), at_once=True))


def _imports(node: ast.AST, *, at_once: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, at_once) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"a relative import: {ast.unparse(child)}"
            yield from ((module, at_once) for module in _from_modules(child))
        yield from _imports(child, at_once=at_once and not isinstance(child, ast.FunctionDef | ast.Lambda))


def _from_modules(node: ast.ImportFrom) -> set[str]:
    """Modules that a `from` imports: `from dreamd.tree import journal` imports `dreamd.tree.journal`."""
    assert node.module is not None
    names = {f"{node.module}.{alias.name}" for alias in node.names}
    return {name if name in MODULES else node.module for name in names}


def package(module: str) -> str:
    return module.partition(".")[0]


MODULES = {
    ".".join(part for part in file.relative_to(REPOSITORY).with_suffix("").parts if part != "__init__"): file
    for file in CORE.rglob("*.py")
}


@pytest.mark.parametrize("file", sorted(FIRST_PARTY.rglob("*.py")), ids=lambda file: file.stem)
def test_a_first_party_plugin_imports_nothing_of_dreamd_but_its_api_and_its_own_files(file):
    ours = {module for module, _ in imports_of(file) if package(module) in ("dreamd", "dreamd_plugins")}
    own = f"dreamd_plugins.{file.relative_to(FIRST_PARTY).parts[0]}."
    assert {module for module in ours if not module.startswith(own)} <= {"dreamd.api"}


# Which way imports run

FLOORS = [
    {"wording", "json_text", "processes", "hardware"},
    {"errors", "logs"},
    {"files", "job"},
    {"weights", "pictures", "engine", "inbox"},
    {"api"},
    {"plugin_host"},
    {"messages", "settings", "studio"},
    {"tree"},
    {"executors", "worker"},
    {"daemon", "page", "plugin_tools", "sheets"},
    {"testing", "commands"},
    {"cli"},
    {"__main__"},
]
"""From the bottom up: a room imports only from the floors below its own and from itself, so there is no circle."""

HEAVY = {"torch", "torchvision", "timm", "PIL", "numpy", "safetensors"}

LIGHT_ROOMS = {
    "api", "cli", "daemon", "errors", "executors", "files", "hardware", "inbox", "job", "json_text", "logs", "messages",
    "plugin_host", "processes", "settings", "tree", "wording",
}  # fmt: skip
"""What the daemon's process is made of, and the command line until it knows what to do."""

LIGHT_MODULES = ["page.server", *(module.removeprefix("dreamd.") for module in sorted(set(COMMANDS.values())))]
"""The page, and every command until it is called: `dreamd --help` imports each of them."""


def room(module: str) -> str:
    """The package or top module of dreamd that a module belongs to: `tree` for `dreamd.tree.spool`."""
    return module.split(".")[1] if "." in module else ""


def of_dreamd(file: Path) -> set[str]:
    return {module for module, _ in imports_of(file) if package(module) == "dreamd" and room(module)}


def test_every_room_stands_on_a_floor():
    rooms = [name for floor in FLOORS for name in floor]
    assert len(rooms) == len(set(rooms))
    assert set(rooms) == {room(module) for module in MODULES} - {""}


def test_the_documentation_has_every_room_on_its_floor():
    table = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    told: list[set[str]] = []
    for floor, name in re.findall(r"^\| (\d*) ?\| `(\w+)` \|", table, re.MULTILINE):
        if floor:
            told.append(set())
        told[-1].add(name)
    assert told[::-1] == FLOORS[:-1]  # `__main__` is no room


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_from_the_floors_below_its_room(name):
    below: set[str] = set()
    for floor in FLOORS:
        if room(name) in floor:
            break
        below |= floor
    assert {module for module in of_dreamd(MODULES[name]) if room(module) not in {*below, room(name)}} == set()


@pytest.mark.parametrize("name", sorted({room(module) for module in MODULES} - {""}))
def test_a_room_has_no_circle(name):
    inside = {module: file for module, file in MODULES.items() if room(module) == name}
    waiting = {module: (of_dreamd(file) & inside.keys()) - {module} for module, file in inside.items()}
    while free := {module for module, needs in waiting.items() if not needs}:
        waiting = {module: needs - free for module, needs in waiting.items() if module not in free}
    assert not waiting


@pytest.mark.parametrize(
    "name", sorted({room(module) for module in MODULES if MODULES[module].name == "__init__.py"} - {""})
)
def test_a_room_says_what_it_is_for_and_what_it_may_not_know(name):
    docstring = ast.get_docstring(ast.parse(MODULES[f"dreamd.{name}"].read_text(encoding="utf-8"))) or ""
    assert re.search(r"\b(Knows?|know|knows) no", docstring), (
        f"dreamd/{name}/__init__.py does not say what it may not know"
    )


def test_nothing_in_dreamd_imports_a_first_party_plugin():
    for name, file in MODULES.items():
        assert not {module for module, _ in imports_of(file) if package(module) == "dreamd_plugins"}, name


def test_the_engine_imports_torch_numpy_and_the_errors_alone():
    for name, file in MODULES.items():
        if not name.startswith("dreamd.engine"):
            continue
        for module, _ in imports_of(file):
            own = module.startswith("dreamd.engine.") or module == "dreamd.errors"
            known = package(module) in {"torch", "numpy", *sys.stdlib_module_names}
            assert own or known, f"{name}: {module}"


def loaded_with(name: str) -> set[str]:
    """Every module that comes into memory with one of dreamd's, as far as dreamd's own files say."""
    found: set[str] = set()
    waiting = {name}
    while waiting:
        module = waiting.pop()
        found.add(module)
        if module in MODULES:
            waiting |= {other for other, at_once in imports_of(MODULES[module]) if at_once} - found
    return found


@pytest.mark.parametrize(
    "name",
    sorted(
        [module for module in MODULES if room(module) in LIGHT_ROOMS] + [f"dreamd.{name}" for name in LIGHT_MODULES]
    ),
)
def test_what_the_daemon_is_made_of_never_loads_torch_or_decodes_a_picture(name):
    loaded = loaded_with(name)
    assert not {package(module) for module in loaded} & HEAVY
    assert not {module for module in loaded if room(module) in ("worker", "pictures", "engine")}


def test_a_python_that_imports_the_daemon_and_its_plugins_has_no_torch():
    imports = "import sys, dreamd.daemon, dreamd.api, dreamd_plugins.local, dreamd_plugins.ray"
    code = f"{imports}; sys.exit(bool({HEAVY | {'ray'}!r} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
