"""A dream keeps the depth, the space and the alpha channel of its picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch
from PIL import Image

from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.dream import Dream, write_dream
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import Device
from dreamd.worker.session import Session
from tests import badfiles
from tests.unit.pictures.colours.difference import ciede2000, lab_of
from tests.unit.pictures.colours.test_conversion import P3
from tests.unit.pictures.test_depth import deep, levels_of, ramp
from tests.unit.worker.kit import fill, plugins_in, session_in


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("depth")
    fill(folder)
    return session_in(folder, plugins_in(folder))


def dreamed(session: Session, source: Path, **fields: object) -> Dream:
    recipe = Recipe.model_validate(
        {
            "backbone": {"name": "tiny", "weights": "random"},
            "schedule": {"name": "octaves", "num_octaves": 2},
            "ascent": {"iterations": 1, "lr": 0.0, "jitter": 2},
            **fields,
        }
    )
    picture = session.read(source, recipe)
    (dream,) = session.dream([picture], session.build(recipe), on_progress=lambda _progress: None)
    return dream


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_dream_of_lr_0_gives_every_16_bit_level_and_all_of_alpha_back(
    session: Session, tmp_path: Path, suffix: str
) -> None:
    levels = ramp(4, 120, 90)
    source = tmp_path / f"source{suffix}"
    source.write_bytes(deep(levels, suffix))
    result = write_dream(dreamed(session, source), tmp_path / "result", "PNG" if suffix == ".png" else "TIFF")
    assert result.picture.notes == ()
    assert np.array_equal(levels_of(tmp_path / "result"), levels)
    assert len(np.unique(levels)) > 256


@pytest.mark.parametrize("depth", [8, 16])
def test_a_dream_of_lr_0_gives_a_patch_of_p3_back(session: Session, tmp_path: Path, depth: int) -> None:
    green = np.full((40, 40, 3), (0, 255, 0), np.uint8)
    whole = badfiles.saved(Image.fromarray(green), "PNG", icc_profile=P3)
    (tmp_path / "p3.png").write_bytes(whole if depth == 8 else deep(green.astype(np.uint16) * 257, ".png", P3))
    write_dream(dreamed(session, tmp_path / "p3.png"), tmp_path / "result", "PNG")
    result = levels_of(tmp_path / "result")
    assert result.dtype == (np.uint8 if depth == 8 else np.uint16)
    eight = result if depth == 8 else (result // 257).astype(np.uint8)
    assert ciede2000(lab_of(eight, P3), lab_of(green, P3)).max() < 1


def test_an_8_bit_picture_gets_the_dreams_own_levels_where_16_bit_are_asked_for(
    session: Session, tmp_path: Path
) -> None:
    badfiles.noise(40, 40).save(tmp_path / "source.png")
    ascent = {"iterations": 2, "lr": 0.05, "jitter": 0}
    deep_dream = dreamed(session, tmp_path / "source.png", ascent=ascent, output={"depth": 16})
    write_dream(deep_dream, tmp_path / "result", "PNG")
    result = levels_of(tmp_path / "result")
    assert result.dtype == np.uint16
    assert len(np.unique(result)) > 1000
    plain = dreamed(session, tmp_path / "source.png", ascent=ascent)
    assert plain.picture.pixels.dtype == np.uint8
    assert np.abs(np.rint(result / 257) - plain.picture.pixels).max() <= 1


def test_a_mask_of_deep_alpha_keeps_what_is_clear_to_the_bit(session: Session, tmp_path: Path) -> None:
    levels = ramp(4, 60, 50)
    levels[:, :30, 3] = 0
    levels[:, 30:, 3] = 65_535
    (tmp_path / "source.png").write_bytes(deep(levels, ".png"))
    ascent = {"iterations": 2, "lr": 0.5, "jitter": 0}
    dream = dreamed(session, tmp_path / "source.png", ascent=ascent, image={"mask": "alpha"})
    write_dream(dream, tmp_path / "result", "PNG")
    result = pyvips.Image.new_from_file(str(tmp_path / "result")).numpy()
    assert np.array_equal(result[:, :30], levels[:, :30])
    assert not np.array_equal(result[:, 30:], levels[:, 30:])


def test_a_deep_picture_counts_in_what_fits_together(tmp_path: Path) -> None:
    fill(tmp_path)
    recipe = Recipe.model_validate({"backbone": {"name": "tiny", "weights": "random"}})
    levels = ramp(3, 400, 300)
    (tmp_path / "deep.png").write_bytes(deep(levels, ".png"))
    Image.fromarray((levels >> 8).astype(np.uint8)).save(tmp_path / "plain.png")
    bounds = Bounds(max_pixels=1_000_000, max_bytes=9_000_000, memory=1_100_000_000)
    session = Session(plugins_in(tmp_path), Device(torch=torch.device("cpu"), label="cpu"), bounds)
    built = session.build(recipe)
    counts = [
        session.count_together(session.read(tmp_path / name, recipe), built, 1000) for name in ("plain.png", "deep.png")
    ]
    assert 1 < counts[1] < counts[0] < 1000


def test_a_picture_counts_with_all_its_bytes(session: Session, tmp_path: Path) -> None:
    (tmp_path / "deep.png").write_bytes(deep(ramp(4, 60, 50), ".png"))
    picture = session.read(tmp_path / "deep.png", Recipe())
    assert picture.nbytes == 60 * 50 * (3 * 4 + 2)
