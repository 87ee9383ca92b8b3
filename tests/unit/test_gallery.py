"""The gallery's page is as the presets are now."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dreamd.settings.recipes.recipe_book import preset_names
from tests import gallery

SAMPLES = {file.stem: file for file in gallery.SAMPLES.glob("*.webp")}
UNDREAMED = Path(gallery.SAMPLE_SOURCE).stem
FILES = sorted(gallery.PICTURES.glob("*.jpg"))


def test_the_page_shows_every_preset_as_it_is() -> None:
    assert gallery.PAGE.read_text(encoding="utf-8") == gallery.page(), "docs/gallery.md is stale: run `make gallery`"


def test_every_picture_of_the_page_is_there_and_no_other() -> None:
    linked = set(gallery.LINK.findall(gallery.PAGE.read_text(encoding="utf-8")))
    assert linked == {f"images/gallery/{file.name}" for file in FILES}


def test_pictures_that_fit_are_chosen_for_presets_that_there_are_only() -> None:
    assert set(gallery.FITTING) <= set(preset_names())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_picture_is_small_enough_for_a_clone(file: Path) -> None:
    assert file.stat().st_size < 90_000
    with Image.open(file) as picture:
        assert picture.width <= gallery.SIZE[0]
        assert picture.width * gallery.SIZE[1] == picture.height * gallery.SIZE[0]
    assert sum(other.stat().st_size for other in FILES) < 2_600_000


def test_every_preset_that_can_be_dreamed_here_has_a_sample_of_its_recipe_as_it_is() -> None:
    presets = [gallery.shown(name) for name in preset_names()]
    due = {preset.name: preset.digest for preset in presets if preset.pictures}
    assert gallery.sampled_with() == due, "dreamd/presets/samples is stale: run `make gallery`"
    assert SAMPLES.keys() == due.keys() | {UNDREAMED}


@pytest.mark.parametrize("file", SAMPLES.values(), ids=lambda file: file.stem)
def test_a_sample_is_small(file: Path) -> None:
    assert file.stat().st_size < 20_000
    with Image.open(file) as picture:
        assert picture.size == gallery.SAMPLE_SIZE
