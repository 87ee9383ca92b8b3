"""The gallery's page is as the presets are now."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dreamd.settings.recipes.recipe_book import preset_names
from tests import gallery

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
