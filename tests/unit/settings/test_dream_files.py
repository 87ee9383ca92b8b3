"""The recipe of a dream file: its own text over its folder's recipe, read where it lies and named as it was put."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from dreamd.errors import RecipeError
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.recipes.values.image import Image
from tests.unit.settings.kit import document, refusal, resolved, write

DREAM = PurePosixPath("a/clouds.dream.yaml")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    write(tmp_path / "inbox", "seed: 1\nascent: {iterations: 3}\n")
    write(tmp_path / "inbox" / "a", "ascent: {lr: 0.5}\n")
    return tmp_path / "inbox"


def refused(inbox: Path, text: str) -> str:
    write(inbox / "a", text, DREAM.name)
    with pytest.raises(RecipeError) as caught:
        RecipeBook(inbox).for_dream_file(DREAM)
    return str(caught.value)


def test_a_dream_file_goes_over_its_folders_recipe_field_by_field(inbox: Path) -> None:
    write(inbox / "a", "extends: article\nseed: 7\nimage: {size: 320x200}\n", DREAM.name)
    recipe = RecipeBook(inbox, defaults=document("precision: fp32")).for_dream_file(DREAM).recipe
    assert (recipe.seed, recipe.image.sides, recipe.precision) == (7, (320, 200), "fp32")
    assert recipe.schedule.name == "article"
    assert RecipeBook(inbox).for_folder(DREAM.parent).recipe.seed == 1


def test_an_empty_dream_file_is_its_folders_recipe(inbox: Path) -> None:
    write(inbox / "a", "", DREAM.name)
    book = RecipeBook(inbox)
    assert book.for_dream_file(DREAM).recipe == book.for_folder(DREAM.parent).recipe
    assert Image().sides == (640, 480)


def test_a_claimed_dream_file_is_named_as_it_was_put_and_its_paths_are_relative_to_there(inbox: Path) -> None:
    lies_at = write(inbox / ".dreamd/work/1/a", "image: {mask: where.png}\n", DREAM.name)
    resolved = RecipeBook(inbox).for_dream_file(DREAM, lies_at=lies_at)
    assert resolved.recipe.image.mask == str(inbox / "a" / "where.png")
    assert str(resolved.origins[("image", "mask")]) == f"{inbox / DREAM}:1"
    lies_at.write_text("seed: 1\nlos: l2\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"a/clouds.dream.yaml:2: los: is not a field; did you mean loss\?"):
        RecipeBook(inbox).for_dream_file(DREAM, lies_at=lies_at)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a, *a]\n" + "c: [" + "*b, " * 3000 + "]\n", "a bomb?"),
        ("seed: !!python/object/apply:os.system ['true']\n", "clouds.dream.yaml:1"),
        ("# " + "x" * 70_000, "is larger than 64 KB"),
        ("seed: " + "[" * 500, "nested too deeply"),
        ("- seed\n", "must be a mapping"),
        ("extends: ../../secret\n", "clouds.dream.yaml:1: extends: no preset"),
    ],
)
def test_a_hostile_dream_file_is_refused_with_its_name(inbox: Path, text: str, said: str) -> None:
    words = refused(inbox, text)
    assert said in words
    assert str(inbox / DREAM) in words


def test_a_dream_file_is_read_through_no_link(inbox: Path, tmp_path: Path) -> None:
    secret = write(tmp_path, "seed: 5\n", "secret.yaml")
    (inbox / DREAM).symlink_to(secret)
    with pytest.raises(RecipeError, match="is a symbolic link"):
        RecipeBook(inbox).for_dream_file(DREAM)


@pytest.mark.parametrize("size", ["640", "640X480", "0x10", "640 x 480", "-1x5", "100000x1", "640x480px", "axb"])
def test_what_is_no_size_is_refused_in_words(size: str) -> None:
    assert f"image.size: {size!r}: must be WIDTHxHEIGHT in pixels, such as 640x480" in refusal(
        f"image: {{size: '{size}'}}"
    )


def test_a_size_is_text_and_no_number() -> None:
    assert "image.size: must be text" in refusal("image: {size: 640}")
    assert resolved("image: {size: 1x99999}").image.sides == (1, 99999)
