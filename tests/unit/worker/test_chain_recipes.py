"""Recipes with masks and with pictures that they name, dreamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dreamd.errors import RecipeError
from dreamd.pictures.picture import Picture
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.yamlfile import Document
from dreamd.worker.dream import Dream, described
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.recipes.recipe_pictures import RecipePictures
from dreamd.worker.session import Session
from tests.unit.worker.kit import fill, picture, plugins_in, session_in


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Thousands of tiny steps: threads that wait for each other on a busy machine take minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    fill(folder)
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    return session_in(folder, plugins_in(folder))


def dreams_of(session: Session, pictures: list[Picture], **fields: Any) -> list[Dream]:
    recipe = Recipe.model_validate(
        {
            "backbone": {"name": "tiny", "weights": "random"},
            "schedule": {"name": "octaves", "num_octaves": 2},
            "precision": "fp32",
            **fields,
        }
    )
    return session.dream(pictures, session.build(recipe), on_progress=lambda _progress: None)


def test_a_mask_of_alpha_leaves_what_is_clear_as_it_was(session):
    given_picture = picture(alpha=True)
    (dream,) = dreams_of(session, [given_picture], image={"mask": "alpha"}, finish=["stretch"],
                         parameterization=["bounded", "fourier"], ascent={"lr": 0.5, "optimizer": "adam"})  # fmt: skip
    assert np.array_equal(dream.picture.pixels[:, :20], given_picture.pixels[:, :20])
    assert not np.array_equal(dream.picture.pixels[:, 20:], given_picture.pixels[:, 20:])
    (whole,) = dreams_of(session, [picture()], image={"mask": "alpha"})
    assert not np.array_equal(whole.picture.pixels[:, :20], given_picture.pixels[:, :20])


def test_a_mask_is_a_grey_picture_of_any_size(session, folder):
    (dream,) = dreams_of(session, [picture()], image={"mask": str(folder / "mask.png")}, ascent={"lr": 0.5})
    changed = (dream.picture.pixels != picture().pixels).any((0, 2))
    assert not changed[:12].any()
    assert changed[26:].all()


def test_the_sidecar_and_the_checkpoint_know_the_pictures_that_a_recipe_names(session, folder, tmp_path):
    named = tmp_path_in(folder) / "guide.png"
    Image.fromarray(picture(5).pixels).save(named)
    fields = {"loss": {"name": "guide", "picture": str(named)}}
    (dream,) = dreams_of(session, [picture()], **fields)
    sidecar = session.sidecar(job="a", source=Path("a.png"), dream=dream, seconds=1.0)
    (path,) = sidecar.pictures
    assert path == str(named)
    Image.fromarray(picture(6).pixels).save(named)
    (other,) = dreams_of(session, [picture()], **fields)
    assert not np.array_equal(other.picture.pixels, dream.picture.pixels)
    changed = session.sidecar(job="a", source=Path("a.png"), dream=other, seconds=1.0)
    assert changed.pictures[path] != sidecar.pictures[path]


def tmp_path_in(folder: Path) -> Path:
    inner = folder / "named"
    inner.mkdir(exist_ok=True)
    return inner


@pytest.mark.parametrize("where", ["outside.png", "link.png", "linked/other.png"])
def test_a_picture_outside_of_its_folders_is_refused_with_the_field_that_names_it(folder, tmp_path, where):
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.fromarray(picture().pixels).save(outside / "other.png")
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside.png").write_bytes((outside / "other.png").read_bytes())
    (inside / "link.png").symlink_to(outside / "other.png")
    (inside / "linked").symlink_to(outside)
    bounds = Bounds(max_pixels=100_000, max_bytes=1_000_000, memory=1, picture_folders=(inside,))
    path = tmp_path / where if where == "outside.png" else inside / where
    with pytest.raises(RecipeError) as caught:
        RecipePictures(bounds).load(str(path), ("loss", "picture"))
    assert caught.value.field == ("loss", "picture")


@pytest.mark.parametrize("text", [None, b"", b"no picture"])
def test_a_picture_that_cannot_be_read_holds_the_recipe(session, folder, text):
    file = folder / "broken.png"
    file.unlink(missing_ok=True)
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(RecipeError) as caught:
        dreams_of(session, [picture()], loss={"name": "guide", "picture": str(file)})
    assert caught.value.field == ("loss", "picture")
    is_told = "what lies in the inbox is taken to be dreamed" in caught.value.problem
    assert is_told == (text is None)


def test_a_picture_that_ships_with_dreamd_is_read_by_its_name_wherever_pictures_may_lie():
    bounds = Bounds(max_pixels=1_000_000, max_bytes=1_000_000, memory=1, picture_folders=(Path("/nowhere"),))
    shipped = RecipePictures(bounds).load("dreamd:fruit", ("loss", "picture"))
    assert shipped.image.shape == (1, 3, 360, 480)
    with pytest.raises(RecipeError, match="'dreamd:friut'; did you mean dreamd:fruit"):
        RecipePictures(bounds).load("dreamd:friut", ("loss", "picture"))
    with pytest.raises(RecipeError, match="no picture of dreamd"):
        RecipePictures(bounds).load("dreamd:../../../etc/passwd", ("loss", "picture"))


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"start": ["clamp", "crops"]}, ("start", 1), "views of another size may only be made under `transforms`"),
        ({"settle": ["crops"]}, ("settle", 0), "views of another size may only be made under `transforms`"),
        ({"finish": ["crops"]}, ("finish", 0), "views of another size may only be made under `transforms`"),
        ({"parameterization": ["bounded", "fourier", "decorrelated"]}, ("parameterization", 1), "it must be the last"),
        (
            {"transforms": ["blur", "crops", "noise", "blend"]},
            ("transforms", 3),
            "several views of a picture: transforms[1]",
        ),
        ({"stages": [{}, {"settle": ["crops"]}]}, ("stages", 1, "settle", 0), "under `transforms`"),
        ({"sequence": [{}, {"finish": ["crops"]}]}, ("sequence", 1, "finish", 0), "under `transforms`"),
    ],
)
def test_what_stands_in_the_wrong_place_is_told_before_anything_is_dreamed(session, fields, field, problem):
    recipe = {"backbone": {"name": "tiny", "weights": "random"}, **fields}
    with pytest.raises(RecipeError, match=re.escape(problem)) as caught:
        session.build(resolve([Document("recipe.yaml", recipe)]).recipe)
    assert caught.value.field == field


def test_what_stands_in_its_right_place_is_built(session):
    fields = {"transforms": ["blend", "crops", "noise"], "parameterization": ["bounded", "decorrelated", "fourier"]}
    session.build(Recipe.model_validate({"backbone": {"name": "tiny", "weights": "random"}, **fields}))


def test_a_recipe_that_finds_no_place_in_its_result_is_told_in_the_sidecar(session):
    layers = [{"name": "low", "weight": number} for number in range(1, 500)]
    recipe = {"backbone": {"name": "tiny", "weights": "random"}, "layers": layers, "output": {"embed": True}}
    built = session.build(Recipe.model_validate(recipe))
    dream = Dream(picture=picture(), built=built, loss_before=0, loss_after=0, tiling=None)
    shared = described(dream, "JPEG", "cat.jpg")
    (note,) = session.sidecar(job="1", source=Path("cat.jpg"), dream=shared, seconds=0).notes
    assert re.fullmatch("the recipe is not written into it: .* it takes .* KB, and a JPEG holds 64; PNG holds it", note)
    assert shared.picture.description == dream.picture.description
