"""The plugin host: each plugin apart from the others, each that is left out named with its reason (design §5)."""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import dreamd.plugin_host.host
from dreamd import api
from dreamd.errors import UnknownNameError
from dreamd.job import Job, JobState
from dreamd.plugin_host.catalogue import Catalogue, Problem
from dreamd.plugin_host.discovery import stamp_of
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind

GOOD = """
from dreamd.api import hookimpl

def l3(activation, *, power: float = 3.0):
    '''A power.

    Args:
        power: which one.
    '''
    return activation

@hookimpl
def dreamd_losses(register):
    register("l3", l3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    return plugins


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.py"
    file.write_text(dedent(text), encoding="utf-8")
    file.chmod(0o644)
    return file


def loss(register_line: str, before: str = "") -> str:
    """A plugin file whose hook `dreamd_losses` does one thing."""
    head = f"from dreamd.api import hookimpl\n{dedent(before)}\n@hookimpl\n"
    return f"{head}def dreamd_losses(register):\n    {register_line}\n"


def load(*folders: Path, disable: tuple[str, ...] = ()) -> Plugins:
    return Plugins("dreamd.engine", folders=folders, disable=disable)


@pytest.fixture(scope="module")
def first_party() -> Catalogue:
    return load().catalogue


def names(catalogue: Catalogue) -> set[tuple[Kind, str]]:
    return {(entry.kind, entry.name) for entry in catalogue.entries}


# Found


def test_the_first_party_plugins_are_found_by_their_entry_points(first_party):
    assert first_party.problems == ()
    assert names(first_party) >= {
        *((Kind.BACKBONE, f"vgg{n}{bn}") for n in (11, 13, 16, 19) for bn in ("", "_bn")),
        (Kind.BACKBONE, "resnet50"), (Kind.BACKBONE, "timm/*"), (Kind.BACKBONE, "efficientnet_lite0"),
        (Kind.LOSS, "l2"), (Kind.SCHEDULE, "octaves"), (Kind.SCHEDULE, "article"),
        (Kind.GRADIENT, "smooth"), (Kind.GRADIENT, "normalize"),
    }  # fmt: skip
    entry = first_party.find(Kind.LOSS, "l2")
    assert (entry.plugin, entry.origin) == ("l2", "dreamd_plugins.l2")
    assert entry.version
    assert entry.doc.startswith("The L2 norm")


def test_every_first_party_parameter_is_documented(first_party):
    for entry in first_party.entries:
        assert entry.doc, entry.name
        for parameter in entry.parameters:
            assert parameter.doc, f"{entry.name}.{parameter.name}"


def test_a_family_of_backbones_is_found_by_any_of_its_names(first_party):
    plugins = load()
    assert plugins.get(Kind.BACKBONE, "timm/resnet50").entry.name == "timm/*"
    with pytest.raises(UnknownNameError, match="no backbone 'vgg91'; did you mean vgg19"):
        plugins.get(Kind.BACKBONE, "vgg91")


def test_the_executors_are_found_by_the_daemons_entry_points():
    plugins = Plugins("dreamd.daemon")
    assert plugins.catalogue.problems == ()
    assert names(plugins.catalogue) == {(Kind.EXECUTOR, "local")}
    assert callable(plugins.get(Kind.EXECUTOR, "local").function)


def distribution(site: Path, name: str, entry_point: str, text: str) -> None:
    """An installed package of one module, with its entry point."""
    (site / f"{name}.py").write_text(dedent(text))
    info = site / f"{name}-7.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 7.1\n")
    (info / "entry_points.txt").write_text(f"[dreamd.engine]\n{entry_point}\n")


def test_an_installed_package_is_found_by_its_entry_point_and_comes_after_dreamds_own(tmp_path, monkeypatch):
    distribution(tmp_path, "aaa_losses", "aaa = aaa_losses", GOOD)
    distribution(tmp_path, "aaa_thief", "aab = aaa_thief", loss('register("l2", lambda a: a)'))
    distribution(tmp_path, "aaa_gone", "aac = aaa_gone_elsewhere", "")
    distribution(tmp_path, "aaa_inside", "aad = aaa_inside:nothing_of_that_name", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    catalogue = load().catalogue
    entry = catalogue.find(Kind.LOSS, "l3")
    assert (entry.plugin, entry.origin, entry.version) == ("aaa", "aaa_losses", "7.1")
    assert catalogue.find(Kind.LOSS, "l2").origin == "dreamd_plugins.l2"
    reasons = {problem.plugin: problem.reason for problem in catalogue.problems}
    assert reasons.keys() == {"aab", "aac", "aad"}
    assert reasons["aab"] == "the loss 'l2' is taken by plugin 'l2'; choose another name"
    assert reasons["aac"].startswith("ModuleNotFoundError: No module named 'aaa_gone_elsewhere'")
    assert "nothing_of_that_name" in reasons["aad"]


def test_a_drop_in_file_is_a_plugin(folder):
    file = write(folder, "mine", GOOD)
    plugins = load(folder)
    entry = plugins.get(Kind.LOSS, "l3").entry
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    assert (entry.plugin, entry.origin, entry.version) == ("mine", str(file), f"sha256:{digest}")
    assert [(p.name, p.default, p.doc) for p in entry.parameters] == [("power", 3.0, "which one.")]
    assert inspect.unwrap(plugins.get(Kind.LOSS, "l3").function)("activation") == "activation"


def test_a_file_whose_annotations_are_text_works_and_so_does_a_class_in_it(folder):
    before = """
        from dataclasses import dataclass
        from typing import Annotated, Literal
        from pydantic import Field
        Mode = Literal["a", "b"]

        @dataclass
        class Settings:
            power: float

        def l3(activation: Unknown, *, power: Annotated[float, Field(gt=0)] = 1.0, mode: Mode = "a") -> Unknown:
            return Settings(power)
        """
    write(folder, "future", "from __future__ import annotations\n" + loss('register("l3", l3)', before))
    registered = load(folder).get(Kind.LOSS, "l3")
    assert [(p.name, p.type) for p in registered.entry.parameters] == [
        ("power", "a number > 0"),
        ("mode", '"a" or "b"'),
    ]
    assert inspect.unwrap(registered.function)("activation", power=4.0).power == 4.0


def test_only_a_gradient_step_is_given_the_progress(folder):
    write(folder, "step", """
        from dreamd.api import hookimpl

        def step(thing, *, progress: float, sigma: float = 1.0):
            return thing

        @hookimpl
        def dreamd_gradients(register):
            register("step", step)

        @hookimpl
        def dreamd_losses(register):
            register("loss", step)

        @hookimpl
        def dreamd_schedules(register):
            register("schedule", step)
        """)  # fmt: skip
    catalogue = load(folder).catalogue
    assert [p.name for p in catalogue.find(Kind.GRADIENT, "step").parameters] == ["sigma"]
    for kind in (Kind.LOSS, Kind.SCHEDULE):
        assert [p.name for p in catalogue.find(kind, kind.value).parameters] == ["progress", "sigma"]


def test_a_backbone_is_registered_with_its_weights(folder):
    write(folder, "nets", """
        from dreamd.api import Packaged, hookimpl

        @hookimpl
        def dreamd_backbones(register):
            package = Packaged(package="p", path="w.pth", sha256="0" * 64)
            register("one", print_name, weights=package)
            register("many/*", print_name, weights=lambda name: Packaged(package=name[5:], path="w", sha256="0" * 64))
            register("none", print_name)

        def print_name(name, *, width: int = 3):
            return name
        """)  # fmt: skip
    plugins = load(folder)
    assert plugins.get(Kind.BACKBONE, "one").source("one").package == "p"
    assert plugins.get(Kind.BACKBONE, "many/of").source("many/of").package == "of"
    assert plugins.get(Kind.BACKBONE, "none").source("none") is None


def test_an_executor_from_a_drop_in_file_is_found(folder):
    write(folder, "fleet", """
        from dreamd.api import hookimpl

        class Fleet:
            def __init__(self, context):
                self.context = context

        @hookimpl
        def dreamd_executors(register):
            register("fleet", Fleet)
        """)  # fmt: skip
    plugins = Plugins("dreamd.daemon", folders=[folder])
    assert plugins.get(Kind.EXECUTOR, "fleet").function("context").context == "context"


def test_what_begins_with_an_underscore_and_folders_of_other_things_are_no_plugins(folder):
    write(folder, "__init__", "raise SystemExit")
    write(folder, "_shared", "raise SystemExit")
    for name in ("_lib", "__pycache__", ".git"):
        (folder / name).mkdir()
        write(folder / name, "__init__", "raise SystemExit")
    (folder / "daemon").mkdir()
    write(folder / "daemon", "of_another_folder", "raise SystemExit")
    (folder / "notes.txt").write_text("no plugin")
    assert load(folder, folder / "nowhere").catalogue.problems == ()


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
    with pytest.raises(UnknownNameError, match=r"no loss 'l2'; there are none \(not loaded: l2; mine; never_run\)"):
        catalogue.find(Kind.LOSS, "l2")


# Whose files are run


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_is_not_run(folder, mode):
    file = write(folder, "mine", "raise AssertionError")
    file.chmod(mode)
    (problem,) = load(folder).catalogue.problems
    assert problem.reason.startswith(
        f"{file} can be written by others, who could run code through it; do `chmod go-w {file}`"
    )


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_files_in_a_folder_that_others_can_write_are_not_run(folder, mode):
    write(folder, "mine", "raise AssertionError")
    folder.chmod(mode)
    (problem,) = load(folder).catalogue.problems
    assert problem.reason.startswith(f"{folder} can be written by others")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_run(folder):
    file = write(folder, "mine", "raise AssertionError")
    os.chown(file, 12345, -1)
    (problem,) = load(folder).catalogue.problems
    assert problem.reason.startswith(f"{file} can be written by others")


def test_a_symlink_into_a_folder_that_others_can_write_is_not_followed(folder, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (folder / "mine.py").symlink_to(write(shared, "real", "raise AssertionError"))
    (folder / "gone.py").symlink_to("nowhere")
    reasons = {problem.plugin: problem.reason for problem in load(folder).catalogue.problems}
    assert reasons["mine"].startswith(f"{shared} can be written by others")
    assert reasons["gone"].startswith("FileNotFoundError")


def test_what_lies_in_a_cache_of_compiled_files_is_not_run(folder):
    file = write(folder, "mine", GOOD)
    age = file.stat().st_mtime_ns
    load(folder)
    same_size = GOOD.replace('register("l3"', 'register("l9"')
    file.write_text(same_size)
    os.utime(file, ns=(age, age))  # Python's cache would take it for unchanged
    assert (Kind.LOSS, "l9") in names(load(folder).catalogue)
    assert not (folder / "__pycache__").exists()


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
    monkeypatch.setitem(dreamd.plugin_host.host._LOAD_SECONDS, "dreamd.engine", 0.2)
    write(folder, "a_hangs_at_import", "import time\ntry:\n    time.sleep(60)\nexcept Exception:\n    time.sleep(60)\n")
    write(folder, "b_hangs_in_its_hook", loss("[None for _ in iter(int, 1)]"))
    write(folder, "c_good", GOOD)
    catalogue = load(folder).catalogue
    assert {problem.plugin: problem.reason for problem in catalogue.problems} == {
        "a_hangs_at_import": "it was not loaded after 0.2 s",
        "b_hangs_in_its_hook": "it was not loaded after 0.2 s",
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


# Changes


def test_every_change_that_matters_changes_the_fingerprint_of_a_folder(folder):
    seen = {stamp_of([folder])}

    def has_changed() -> bool:
        seen.add(now := stamp_of([folder]))
        return stamp_of([folder]) == now

    file = write(folder, "mine", GOOD)
    assert has_changed()
    assert len(seen) == 2
    for change in (lambda: file.write_text("x = 1"), lambda: file.chmod(0o666), lambda: folder.chmod(0o777),
                   lambda: write(folder, "another", GOOD), file.unlink):  # fmt: skip
        before = len(seen)
        change()
        assert has_changed()
        assert len(seen) == before + 1
    (folder / "notes.txt").write_text("no plugin")
    (folder / "__pycache__").mkdir()
    (folder / "pictures").mkdir()
    (folder / "pictures" / "cat.png").touch()
    assert stamp_of([folder]) in seen
    assert stamp_of([folder / "nowhere"])
