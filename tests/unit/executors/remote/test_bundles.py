"""Folders of plugins that go to another machine."""

from __future__ import annotations

import stat
from pathlib import Path

from dreamd.executors.remote.bundles import packed_plugins, unpacked_plugins
from dreamd.plugin_host.finding.discovery import find_plugins


def make(folder: Path) -> Path:
    (folder / "glow").mkdir(parents=True)
    (folder / "fade.py").write_text("import _shades")
    (folder / "_shades.py").write_text("")
    (folder / "glow" / "__init__.py").write_text("")
    (folder / "glow" / "colours.json").write_text("[1]")
    (folder / "notes.txt").write_text("no part of any plugin")
    return folder


def test_what_comes_out_are_the_same_plugins(tmp_path: Path) -> None:
    here = [make(tmp_path / "first"), tmp_path / "missing"]
    there = unpacked_plugins(*packed_plugins(here), 2, tmp_path / "there")
    assert not (there[0] / "notes.txt").exists()
    found, same = (
        [(each.name, each.version) for each in find_plugins("dreamd.engine", folders) if each.version.startswith("sha")]
        for folders in (here, there)
    )
    assert found == same
    assert len(same) == 2


def test_equal_plugins_have_one_digest_whenever_they_were_written(tmp_path: Path) -> None:
    first = packed_plugins([make(tmp_path / "a")])
    (tmp_path / "a" / "fade.py").touch()
    assert packed_plugins([make(tmp_path / "b")]) == first == packed_plugins([tmp_path / "a"])
    (tmp_path / "a" / "glow" / "colours.json").write_text("[2]")
    assert packed_plugins([tmp_path / "a"])[1] != first[1]


def test_what_others_could_have_written_is_still_refused_elsewhere(tmp_path: Path) -> None:
    make(tmp_path / "here")
    (tmp_path / "here" / "fade.py").chmod(0o666)
    (there,) = unpacked_plugins(*packed_plugins([tmp_path / "here"]), 1, tmp_path / "there")
    assert stat.S_IMODE((there / "fade.py").stat().st_mode) == 0o666
    assert stat.S_IMODE((there / "_shades.py").stat().st_mode) & 0o022 == 0
