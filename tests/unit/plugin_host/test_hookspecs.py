"""Every hook is documented and tested, and imports run the way that design §2 says."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest

import dreamd
from dreamd import api
from dreamd.plugin_host import hookspecs
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind

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
    code = dedent(reference[reference.index("    from dreamd.api") : reference.index("Now `loss:")])
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


def test_the_lazy_names_of_the_api_come_from_where_they_are_said_to():
    for name, module in api._LAZY.items():
        assert name in api.__all__
        assert getattr(import_module(module), name) is getattr(api, name)
