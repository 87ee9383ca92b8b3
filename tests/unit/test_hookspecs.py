"""Every hook is documented and tested, and imports run the way that design §2 says."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest

import dreamd
from dreamd import api, hookspecs
from dreamd.catalogue import Kind
from dreamd.plugins import Plugins

CORE = Path(dreamd.__file__).parent
REPOSITORY = CORE.parent
FIRST_PARTY = REPOSITORY / "plugins" / "dreamd_plugins"
TESTS = REPOSITORY / "tests"

HOOKS = [
    pytest.param(group, name, id=name)
    for group in (hookspecs.EngineHooks, hookspecs.DaemonHooks)
    for name in vars(group)
    if name.startswith("dreamd_")
]

# Hooks


def test_the_hooks_are_those_of_the_design():
    assert {hook.values[1] for hook in HOOKS} >= {
        "dreamd_backbones", "dreamd_losses", "dreamd_schedules", "dreamd_gradients", "dreamd_executors",
        "dreamd_decoders", "dreamd_job_changed",
    }  # fmt: skip


@pytest.mark.parametrize(("group", "name"), HOOKS)
def test_a_hook_has_a_docstring_and_types(group, name):
    hook = getattr(group, name)
    assert inspect.getdoc(hook)
    arguments = {argument for argument in inspect.signature(hook).parameters if argument != "self"}
    assert hook.__annotations__.keys() == {*arguments, "return"}


@pytest.mark.parametrize(("group", "name"), HOOKS)
def test_a_hook_is_named_in_a_test(group, name):
    others = [file for file in TESTS.rglob("test_*.py") if file != Path(__file__)]
    assert any(name in file.read_text(encoding="utf-8") for file in others)


@pytest.mark.parametrize("name", [name for name in vars(hookspecs) if name.startswith("Register")])
def test_what_a_register_takes_is_documented_and_open_to_plugins(name):
    protocol = getattr(hookspecs, name)
    assert inspect.getdoc(protocol.__call__)
    assert getattr(api, name) is protocol


def test_the_example_in_the_reference_is_a_working_plugin(tmp_path):
    reference = hookspecs.__doc__ or ""
    code = dedent(reference[reference.index("    from dreamd.api") : reference.index("Then `loss:")])
    file = tmp_path / "example.py"
    tmp_path.chmod(0o755)
    file.write_text(code)
    file.chmod(0o644)
    entry = Plugins("dreamd.engine", folders=[tmp_path]).get(Kind.LOSS, "contrast").entry
    assert [(p.name, p.default, p.doc) for p in entry.parameters] == [
        ("power", 2.0, "1 counts every neuron alike; more favours the strongest.")
    ]


# What a plugin may import


def test_everything_that_the_api_promises_is_there():
    assert sorted(api.__all__, key=str.lower) == sorted(set(api.__all__), key=str.lower)
    for name in api.__all__:
        assert getattr(api, name) is not None
    with pytest.raises(AttributeError, match=r"module 'dreamd\.api' has no attribute 'Nothing'"):
        _ = api.Nothing


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
    """`from dreamd import recipe` imports `dreamd.recipe`; `from dreamd.recipe import resolve` too."""
    assert node.module is not None
    names = {f"{node.module}.{alias.name}" for alias in node.names}
    return {name if name in MODULES else node.module for name in names}


def package(module: str) -> str:
    return module.partition(".")[0]


MODULES = {
    ".".join(part for part in file.relative_to(REPOSITORY).with_suffix("").parts if part != "__init__"): file
    for file in CORE.rglob("*.py")
}


@pytest.mark.parametrize("file", sorted(FIRST_PARTY.glob("*.py")), ids=lambda file: file.stem)
def test_a_first_party_plugin_imports_nothing_of_dreamd_but_its_api(file):
    ours = {module for module, _ in imports_of(file) if package(module) in ("dreamd", "dreamd_plugins")}
    assert ours <= {"dreamd.api"}


# Which way imports run

LAYERS = [
    {"errors", "lifeline", "page", "preview", "status.devices"},
    {
        "fields",
        "guard",
        "imageio",
        "job",
        "logs",
        "paint",
        "scaffold",
        "spool",
        "status.files",
        "tiny",
        "watcher",
        "weights",
        "yamlfile",
    },
    {"api", "catalogue", "hookspecs", "journal", "listener", "scheduler", "status.snapshot", "status.thumbnailer"},
    {"messages", "plugins", "recipe", "status.health", "status.text"},
    {"build", "config", "lifecycle", "progress", "subject"},
    {
        "control",
        "executor",
        "introspect",
        "newplugin",
        "prune",
        "service",
        "status.guard",
        "status.metrics",
        "status.recipes",
        "status.thumbnails",
        "status.uploads",
        "status.views",
        "studio",
    },
    {"clauses", "daemon", "demo", "doctor", "listing", "single", "status.feed", "worker"},
    {"afresh", "trial"},
    {"contract"},
    {"testing"},
    {"cli", "status.app"},
    {"status.server"},
    {"__main__"},
]
"""From the bottom up: a module imports only from the layers below its own, so there is no circle. `engine` is apart."""

WITHOUT_TORCH = ["daemon", "lifecycle", "watcher", "scheduler", "executor", "spool", "journal", "recipe", "config",
                 "catalogue", "plugins", "guard", "listener",
                 "messages", "job", "errors", "api", "hookspecs", "control", "cli", "logs", "prune", "service",
                 "page", "lifeline", "status", "status.snapshot", "status.text", "status.server"]  # fmt: skip
HEAVY = {"torch", "torchvision", "timm", "PIL", "numpy", "safetensors"}


def core_modules() -> Iterator[str]:
    """The modules of dreamd, without its packages and the engine."""
    for module in MODULES:
        name = module.removeprefix("dreamd").removeprefix(".")
        if name not in ("", "status", "engine") and not name.startswith("engine."):
            yield name


def test_every_module_stands_in_a_layer():
    assert set().union(*LAYERS) == set(core_modules())


@pytest.mark.parametrize("name", sorted(core_modules()))
def test_a_module_imports_only_from_the_layers_below_its_own(name):
    level = next(level for level, layer in enumerate(LAYERS) if name in layer)
    below = {f"dreamd.{module}" for layer in LAYERS[:level] for module in layer} | {"dreamd", "dreamd.status"}
    imported = {module for module, _ in imports_of(MODULES[f"dreamd.{name}"]) if package(module) == "dreamd"}
    upwards = {module for module in imported - below if not module.startswith("dreamd.engine.")}
    assert not upwards


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


def test_the_engine_has_no_circle():
    done: set[str] = set()
    waiting = {name: {m for m, _ in imports_of(file) if m.startswith("dreamd.engine.")} - {name}
               for name, file in MODULES.items() if name.startswith("dreamd.engine.")}  # fmt: skip
    while free := [name for name, needs in waiting.items() if needs <= done]:
        done.update(free)
        waiting = {name: needs for name, needs in waiting.items() if name not in done}
    assert not waiting


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


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_the_daemon_is_made_of_never_loads_torch_or_decodes_a_picture(name):
    loaded = loaded_with(f"dreamd.{name}")
    assert not {package(module) for module in loaded} & HEAVY
    assert not {module for module in loaded if module in ("dreamd.build", "dreamd.worker", "dreamd.imageio")}
    assert not {module for module in loaded if module.startswith("dreamd.engine")}


def test_a_python_that_imports_the_daemon_and_its_plugins_has_no_torch():
    code = f"import sys, dreamd.daemon, dreamd.api, dreamd_plugins.local; sys.exit(bool({HEAVY!r} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_the_lazy_names_of_the_api_come_from_where_they_are_said_to():
    for name, module in api._LAZY.items():
        assert name in api.__all__
        assert getattr(import_module(module), name) is getattr(api, name)
