"""What ships of dreamd's own plugins is what they say themselves, and is used for them alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dreamd.plugin_host.finding import discovery
from dreamd.plugin_host.finding import shipped as shipped_module
from dreamd.plugin_host.finding.shipped import CATALOGUE, NETWORKS, SOURCES, Shipped, series_of
from dreamd.plugin_host.host import Plugins
from tests import shipped_catalogue as maker

ROOT = Path(__file__).parents[3]

STALE = "run `python tests/shipped_catalogue.py --catalogue`"

MOST_BYTES = 300_000
"""What all that ships may take on the disk, in bytes."""


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins("dreamd.engine", only=())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plugins"
    made.mkdir(mode=0o755)
    return made


def shipped(*folders: Path, disable: tuple[str, ...] = ()) -> Shipped:
    return Shipped("dreamd.engine", folders, disable)


def test_the_catalogue_that_ships_is_what_the_plugins_bring(plugins: Plugins) -> None:
    assert CATALOGUE.read_text(encoding="utf-8") == maker.catalogue_text(plugins), STALE
    assert shipped().catalogue == plugins.catalogue


def test_the_sources_that_ship_are_what_the_plugins_say(plugins: Plugins) -> None:
    written = json.loads(SOURCES.read_text(encoding="utf-8"))
    if written["torchvision"] == series_of("torchvision"):
        assert SOURCES.read_text(encoding="utf-8") == maker.sources_text(plugins), STALE
    else:  # another torchvision may say something else, so that nothing of it is used
        assert shipped().sources == {}


def test_every_network_that_ships_is_known_by_a_name_of_the_catalogue(plugins: Plugins) -> None:
    assert set(maker.NETWORKS_SHIPPED) <= set(plugins.catalogue.names(shipped_module.Kind.BACKBONE))
    for name in maker.NETWORKS_SHIPPED:
        known = shipped().network(name)
        assert known is not None, name
        assert known["default"] in [layer["name"] for layer in known["layers"]], name


def test_a_network_that_ships_is_what_it_is(plugins: Plugins) -> None:
    for name in ("squeezenet1_1", "vgg11"):
        assert shipped().network(name) == json.loads(json.dumps(maker.network(name, plugins))), (
            "run `python tests/shipped_catalogue.py`"
        )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_networks_that_ship_are_what_they_are(plugins: Plugins) -> None:
    for name in maker.NETWORKS_SHIPPED:
        assert shipped().network(name) == json.loads(json.dumps(maker.network(name, plugins))), name


def test_what_ships_is_small() -> None:
    assert sum(file.stat().st_size for file in (CATALOGUE, SOURCES, NETWORKS)) < MOST_BYTES


def test_with_a_drop_in_the_plugins_are_asked_what_they_bring_and_networks_stay_known(folder: Path) -> None:
    (folder / "mine.py").write_text("x = 1\n", encoding="utf-8")
    (folder / "mine.py").chmod(0o644)
    assert shipped(folder).catalogue is None
    assert shipped(folder).network("vgg19") is not None


def test_an_empty_folder_of_drop_ins_changes_nothing(folder: Path) -> None:
    assert shipped(folder).catalogue is not None


def test_nothing_is_known_of_a_plugin_that_is_left_out() -> None:
    left_out = shipped(disable=("vgg",))
    assert left_out.catalogue is None
    assert left_out.network("vgg19") is None
    assert "vgg19" not in left_out.sources
    assert left_out.network("resnet50") is not None


def test_a_plugin_whose_file_changed_is_asked_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = tmp_path / "vgg.py"
    edited.write_text("x = 1\n", encoding="utf-8")
    monkeypatch.setattr(
        shipped_module,
        "file_of_module",
        lambda name: edited if name.endswith(".vgg") else discovery.file_of_module(name),
    )
    assert shipped().catalogue is None
    assert shipped().network("vgg19") is None
    assert shipped().network("resnet50") is not None


def test_a_plugin_of_several_files_changes_with_each_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "several"
    home.mkdir()
    (home / "__init__.py").write_text("x = 1\n", encoding="utf-8")
    (home / "part.py").write_text("y = 1\n", encoding="utf-8")
    monkeypatch.setattr(shipped_module, "file_of_module", lambda name: home / "__init__.py")
    before = shipped_module.digest_of_module("several")
    (home / "part.py").write_text("y = 2\n", encoding="utf-8")
    assert shipped_module.digest_of_module("several") != before


def test_another_torchvision_is_asked_for_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_module, "version", lambda package: "99.1.0")
    assert shipped().sources == {}
    assert shipped().catalogue is not None


@pytest.mark.parametrize("content", [None, "", "[]", '{"code": 1}'])
def test_without_a_sound_file_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    monkeypatch.setattr(shipped_module, "NETWORKS", file)
    assert shipped().network("vgg19") is None
    monkeypatch.setattr(shipped_module, "CATALOGUE", file)
    monkeypatch.setattr(shipped_module, "SOURCES", file)
    assert (shipped().catalogue, shipped().sources, shipped().network("vgg19")) == (None, {}, None)
