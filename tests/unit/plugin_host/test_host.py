"""The plugin host: each plugin apart from the others, each that is left out named with its reason (design §5)."""

from __future__ import annotations

import inspect
import logging
import sys
from pathlib import Path

import pytest

import dreamd.plugin_host.host
from dreamd import api
from dreamd.errors import UnknownNameError
from dreamd.job import Job, JobState
from dreamd.plugin_host.catalogue import Catalogue, Problem
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from tests.unit.plugin_host.kit import GOOD, load, loss, names, write

# Left out, with the reason

BROKEN = {
    "missing_import": (
        "import a_module_that_is_not_there",
        "ModuleNotFoundError: No module named 'a_module_that_is_not_there' (missing_import.py:1)",
    ),
    "bad_syntax": ("x = 1\ndef f(:\n", "bad_syntax.py:2: invalid syntax"),
    "null_byte": ("x = '\0'\n", "source code string cannot contain null bytes"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3 (exits.py:1)"),
    "raises_at_import": ("1 / 0", "ZeroDivisionError: division by zero (raises_at_import.py:1)"),
    "misspelt_hook": (
        "from dreamd.api import hookimpl\n@hookimpl\ndef dreamd_loses(register): ...",
        "no hook 'dreamd_loses' in dreamd.engine; did you mean dreamd_losses?",
    ),
    "other_group": (
        "from dreamd.api import hookimpl\n@hookimpl\ndef dreamd_job_changed(job): ...",
        "no hook 'dreamd_job_changed' in dreamd.engine; ",
    ),
    "no_marker": (
        "def dreamd_losses(register): ...",
        "has no hook of dreamd.engine: mark its functions with `@hookimpl` of dreamd.api",
    ),
    "wrong_argument": (
        "from dreamd.api import hookimpl\n@hookimpl\ndef dreamd_losses(registr): ...",
        "Argument(s) {'registr'} are declared in the hookimpl but can not be found in the hookspec",
    ),
    "no_argument": (
        "from dreamd.api import hookimpl\n@hookimpl\ndef dreamd_losses(): ...",
        "TypeError: dreamd_losses() takes 0 positional arguments but 1 was given",
    ),
    "taken_name": (loss('register("l2", lambda a: a)'), "the loss 'l2' is taken by plugin 'l2'; choose another name"),
    "uncallable": (loss('register("mine", 3)'), "loss 'mine': 3 cannot be called"),
    "malformed_name": (loss('register("a b", lambda a: a)'), "'a b' is no name: use letters, digits and _ . - /"),
    "slash_name": (loss('register("/etc", lambda a: a)'), "'/etc' is no name: use letters, digits and _ . - /"),
    "no_text_name": (loss("register(None, lambda a: a)"), "None is no name: use letters, digits and _ . - /"),
    "family_of_losses": (
        loss('register("mine/*", lambda a: a)'),
        "loss 'mine/*': only a backbone is told the name it is asked for; leave out the `*`",
    ),
    "no_annotation": (
        loss('register("mine", f)', "def f(a, *, power=2): ..."),
        "loss 'mine': parameter 'power' needs an annotation, such as `power: float = 1.0`",
    ),
    "no_yaml_annotation": (
        loss('register("mine", f)', "class Thing: ...\ndef f(a, *, power: Thing = None): ..."),
        "loss 'mine': parameter 'power' has the annotation <class 'dreamd_dropin_no_yaml_annotation."
        "Thing'>, which YAML cannot fill; it gives bool, int, float, str, None, list and dict",
    ),
    "raising_hook": (loss("1 / 0"), "ZeroDivisionError: division by zero (raising_hook.py:5)"),
    "exiting_hook": (loss("raise SystemExit('bye')"), "SystemExit: bye (exiting_hook.py:5)"),
    "silent_error": (loss("raise RuntimeError"), "RuntimeError (silent_error.py:5)"),
    "many_lines": (loss("raise RuntimeError('one\\ntwo')"), "RuntimeError: one (many_lines.py:5)"),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Plugins:
    """Every broken file in one folder, with a good one before and one behind them."""
    folder = tmp_path_factory.mktemp("plugins")
    folder.chmod(0o755)
    write(folder, "a_good_one", GOOD)
    for name, (text, _) in BROKEN.items():
        write(folder, name, text)
    write(folder, "z_good_one", GOOD.replace('"l3"', '"l4"'))
    return load(folder)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_with_its_reason(broken, name):
    (problem,) = [problem for problem in broken.catalogue.problems if problem.plugin == name]
    assert problem.reason.startswith(BROKEN[name][1]) or BROKEN[name][1] in problem.reason
    assert problem.origin.endswith(f"/{name}.py")
    assert "\n" not in problem.reason


def test_broken_plugins_stop_nobody_else_and_leave_nothing(broken, first_party):
    assert {problem.plugin for problem in broken.catalogue.problems} == set(BROKEN)
    assert names(broken.catalogue) == names(first_party) | {(Kind.LOSS, "l3"), (Kind.LOSS, "l4")}


def test_nothing_stays_of_a_plugin_that_breaks_half_way(folder):
    write(folder, "half", """
        from dreamd.api import hookimpl

        @hookimpl
        def dreamd_losses(register):
            register("first", lambda a: a)
            register("second", lambda a: a)

        @hookimpl
        def dreamd_gradients(register):
            register("third", lambda g: g)
            register("l 2", lambda g: g)
        """)  # fmt: skip
    write(folder, "whole", loss('register("second", lambda a: "whole")'))
    plugins = load(folder)
    assert [problem.plugin for problem in plugins.catalogue.problems] == ["half"]
    assert {entry.plugin for entry in plugins.catalogue.entries} >= {"whole"}
    assert "half" not in {entry.plugin for entry in plugins.catalogue.entries}
    assert inspect.unwrap(plugins.get(Kind.LOSS, "second").function)("a") == "whole"


def test_a_module_that_failed_is_not_kept(folder):
    write(folder, "breaks_in_the_middle", "kept = True\n1 / 0\n")
    load(folder)
    assert "dreamd_dropin_breaks_in_the_middle" not in sys.modules


def test_a_file_with_the_name_of_another_plugin_is_left_out_and_the_other_stays(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    write(folder, "l2", GOOD)
    write(folder, "mine", loss('register("mine", lambda a: a)'))
    write(other, "mine", loss('register("yours", lambda a: a)'))
    catalogue = load(folder, other).catalogue
    assert [(problem.origin, problem.reason) for problem in catalogue.problems] == [
        (str(folder / "l2.py"), "there is another plugin 'l2'; give the file another name"),
        (str(other / "mine.py"), "there is another plugin 'mine'; give the file another name"),
    ]
    assert catalogue.find(Kind.LOSS, "l2").origin == "dreamd_plugins.l2"
    assert (Kind.LOSS, "mine") in names(catalogue)


def test_a_disabled_plugin_is_left_out_and_said(folder):
    write(folder, "mine", GOOD)
    write(folder, "never_run", "raise AssertionError")
    catalogue = load(folder, disable=("mine", "l2", "never_run")).catalogue
    assert {(problem.plugin, problem.reason) for problem in catalogue.problems} == {
        ("mine", "disabled by plugins.disable"),
        ("l2", "disabled by plugins.disable"),
        ("never_run", "disabled by plugins.disable"),
    }
    with pytest.raises(UnknownNameError, match=r"no loss 'l2'; .* \(not loaded: l2; mine; never_run\)"):
        catalogue.find(Kind.LOSS, "l2")


# Notifications


def test_every_listener_is_told_of_a_job_though_others_raise(folder, caplog):
    for name, line in (("a", "told.append(('a', job.id))"), ("b", "raise RuntimeError('no')"),
                       ("c", "raise SystemExit"), ("d", "told.append(('d', job.id))")):  # fmt: skip
        write(folder, name, f"""
            from dreamd.api import hookimpl
            told = []

            @hookimpl
            def dreamd_job_changed(job):
                {line}
            """)  # fmt: skip
    write(folder, "e", """
        from dreamd.api import hookimpl
        told = []

        @hookimpl
        def dreamd_job_changed():
            told.append("something changed")
        """)  # fmt: skip
    plugins = Plugins("dreamd.daemon", folders=[folder])
    assert plugins.catalogue.problems == ()
    with caplog.at_level(logging.ERROR):
        plugins.job_changed(Job(id="01", folder=Path(), name="cat.jpg", state=JobState.DONE))
        plugins.close()
    told = {name: sys.modules[f"dreamd_dropin_{name}"].told for name in "abcde"}
    assert told == {"a": [("a", "01")], "b": [], "c": [], "d": [("d", "01")], "e": ["something changed"]}
    assert {record.getMessage() for record in caplog.records} == {
        "plugin b: dreamd_job_changed failed: RuntimeError: no (b.py:7)",
        "plugin c: dreamd_job_changed failed: SystemExit (c.py:7)",
    }


def test_a_plugin_that_is_left_out_is_not_told(folder):
    write(folder, "half", """
        from dreamd.api import hookimpl
        told = []

        @hookimpl
        def dreamd_job_changed(job):
            told.append(job)

        @hookimpl
        def dreamd_executors(register):
            register("a b", print)
        """)  # fmt: skip
    plugins = Plugins("dreamd.daemon", folders=[folder])
    assert [problem.plugin for problem in plugins.catalogue.problems] == ["half"]
    plugins.job_changed(Job(id="01", folder=Path(), name="cat.jpg"))
    plugins.close()
    assert sys.modules["dreamd_dropin_half"].told == []


def test_problems_are_data_that_a_worker_can_send(broken):
    again = Catalogue.model_validate_json(broken.catalogue.model_dump_json())
    assert again == broken.catalogue
    assert all(isinstance(problem, Problem) for problem in again.problems)


# Left out on purpose


def test_an_environment_variable_names_the_plugins_to_load_beside_dreamds_own(folder, monkeypatch):
    write(folder, "mine", GOOD)
    write(folder, "yours", "raise AssertionError")
    monkeypatch.setenv("DREAMD_LOAD_PLUGINS", "mine, another")
    catalogue = load(folder).catalogue
    assert (Kind.LOSS, "l3") in names(catalogue)
    assert (Kind.LOSS, "l2") in names(catalogue)
    assert [(problem.plugin, problem.reason, problem.deliberate) for problem in catalogue.problems] == [
        ("yours", "not among those that DREAMD_LOAD_PLUGINS names", True)
    ]
    monkeypatch.setenv("DREAMD_LOAD_PLUGINS", "")
    assert {problem.plugin for problem in load(folder).catalogue.problems} == {"mine", "yours"}
    monkeypatch.delenv("DREAMD_LOAD_PLUGINS")
    assert (Kind.LOSS, "l3") in names(load(folder).catalogue)


def test_one_plugin_can_be_loaded_alone_and_the_others_are_not_even_mentioned(folder, monkeypatch):
    write(folder, "mine", GOOD)
    write(folder, "yours", "raise AssertionError")
    monkeypatch.setenv("DREAMD_LOAD_PLUGINS", "yours")
    catalogue = Plugins("dreamd.engine", folders=[folder], only={"mine"}).catalogue
    assert catalogue.problems == ()
    assert (Kind.LOSS, "l3") in names(catalogue)


# Distrusted


def test_each_plugin_is_announced_before_it_is_loaded_and_a_distrusted_one_is_refused(folder):
    write(folder, "good", GOOD)
    write(folder, "killer", "raise AssertionError")
    announced: list[str] = []
    catalogue = Plugins(
        "dreamd.engine",
        folders=[folder],
        distrusted={"killer": "it ended a worker"},
        on_load=lambda candidate: announced.append(candidate.name),
    ).catalogue
    assert announced[-1] == "good"
    assert "l2" in announced
    (problem,) = catalogue.problems
    assert (problem.plugin, problem.reason, problem.deliberate) == ("killer", "it ended a worker", False)


# Versions


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (f"DREAMD_API = {api.VERSION + 1}",
         f"wants version {api.VERSION + 1} of dreamd.api, which is {api.VERSION} here; install a newer dreamd"),
        (f"DREAMD_API = {api.OLDEST - 1}",
         f"was written for version {api.OLDEST - 1} of dreamd.api, and this dreamd works with {api.OLDEST} and newer; "
         "look for a newer version of the plugin"),
        ("DREAMD_API = '1'", "DREAMD_API must be a whole number, the version of dreamd.api, not '1'"),
        ("from dreamd.api import something_new", "ImportError: cannot import name 'something_new' from 'dreamd.api'"),
    ],
)  # fmt: skip
def test_a_plugin_for_another_version_of_the_api_is_refused_in_clear_words(folder, head, reason):
    write(folder, "mine", f"{head}\n{GOOD}")
    (problem,) = load(folder).catalogue.problems
    assert problem.reason.startswith(reason)
    if "import" in head:
        assert problem.reason.endswith(f"dreamd.api is version {api.VERSION} here, and a newer dreamd may have it")


def test_a_plugin_for_this_version_of_the_api_is_taken(folder):
    write(folder, "mine", f"DREAMD_API = {api.VERSION}\n{GOOD}")
    assert load(folder).catalogue.problems == ()


# Hanging


def test_a_plugin_that_hangs_when_it_is_loaded_is_named_and_the_others_are_loaded(folder, monkeypatch):
    load(folder)  # which imports torch for dreamd's own plugins; broken off in the middle, that ends the process
    monkeypatch.setitem(dreamd.plugin_host.host._LOAD_SECONDS, "dreamd.engine", 0.5)
    write(folder, "a_hangs_at_import", "import time\ntry:\n    time.sleep(60)\nexcept Exception:\n    time.sleep(60)\n")
    write(folder, "b_hangs_in_its_hook", loss("any(None for _ in iter(int, 1))"))
    write(folder, "c_good", GOOD)
    catalogue = load(folder).catalogue
    assert {problem.plugin: problem.reason for problem in catalogue.problems} == {
        "a_hangs_at_import": "it was not loaded after 0.5 s",
        "b_hangs_in_its_hook": "it was not loaded after 0.5 s",
    }
    assert (Kind.LOSS, "l3") in names(catalogue)


# Decoders


def decoder(line: str) -> str:
    return f"from dreamd.api import hookimpl\n@hookimpl\ndef dreamd_decoders(register):\n    {line}\n"


def test_a_decoder_is_found_by_the_ending_of_a_files_name(folder):
    write(folder, "raw", decoder('register("raw", lambda file, check_size: None, extensions=(".dng", ".cr2"))'))
    plugins = load(folder)
    for name in ("a.dng", "B.CR2", "a.tar.dng"):
        registered = plugins.decoder(Path(name))
        assert registered is not None
        assert (registered.entry.name, registered.entry.extensions) == ("raw", (".dng", ".cr2"))
        assert registered.entry.hook == "dreamd_decoders"
    for name in ("a.jpg", "a", "dng", ".dng"):
        assert plugins.decoder(Path(name)) is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("print", 'decoder \'raw\' needs the endings of its files: `extensions=(".dng", ".cr2")`'),
        ('print, extensions=".dng"', 'decoder \'raw\' needs the endings of its files: `extensions=(".dng", ".cr2")`'),
        ('print, extensions=("dng",)', "decoder 'raw': 'dng' is no ending such as '.dng', in small letters"),
        ('print, extensions=(".DNG",)', "decoder 'raw': '.DNG' is no ending such as '.dng', in small letters"),
        ('print, extensions=(".jpg",)', "decoder 'raw': dreamd reads .jpg files by itself; leave that out"),
        ('print, weights=None, extensions=(".x",)', "decoder 'raw': register takes no 'weights'"),
    ],
)
def test_a_decoder_must_say_which_files_it_reads(folder, arguments, reason):
    write(folder, "raw", decoder(f'register("raw", {arguments})'))
    (problem,) = load(folder).catalogue.problems
    assert problem.reason == reason


def test_two_decoders_of_one_ending_are_one_too_many(folder):
    write(folder, "a", decoder('register("raw", print, extensions=(".dng",))'))
    write(folder, "b", decoder('register("other", print, extensions=(".x", ".dng"))'))
    (problem,) = load(folder).catalogue.problems
    expected = "decoder 'other': .dng is taken by decoder 'raw' of plugin 'a'; leave that out"
    assert (problem.plugin, problem.reason) == ("b", expected)


# Listeners


def test_a_plugin_that_only_listens_stands_in_the_catalogue(folder):
    write(folder, "bell", """
        from dreamd.api import hookimpl

        @hookimpl
        def dreamd_job_changed(job):
            '''Ring.'''
        """)  # fmt: skip
    catalogue = Plugins("dreamd.daemon", folders=[folder]).catalogue
    entry = catalogue.find(Kind.NOTIFY, "bell")
    assert (entry.plugin, entry.doc, entry.hook) == ("bell", "Ring.", "dreamd_job_changed")
