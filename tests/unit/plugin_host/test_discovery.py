"""Plugins are found by entry points and in folders; whose files are run, and when they have changed."""

from __future__ import annotations

import hashlib
import inspect
import os
from pathlib import Path
from textwrap import dedent

import pytest

from dreamd.errors import UnknownNameError
from dreamd.plugin_host.finding.discovery import stamp_of
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from tests.unit.plugin_host.kit import GOOD, load, loss, names, write

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
    assert {(Kind.EXECUTOR, "local")} <= names(plugins.catalogue)
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
