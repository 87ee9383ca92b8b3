"""Colours of every space become sRGB in floats and come back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from dreamd.pictures.colours.conversion import quantised, srgb_floats, values_in
from dreamd.pictures.colours.profiles import profile_of, space_of_profile
from dreamd.pictures.colours.spaces import ADOBE_RGB, coded_space
from tests import badfiles
from tests.unit.pictures.colours.difference import ciede2000, lab_of

D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)
P3 = badfiles.matrix_profile(((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65, None)
PROPHOTO = badfiles.matrix_profile(((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), D50, 1.8)
ADOBE = badfiles.matrix_profile(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), D65, 563 / 256)


def every_colour() -> np.ndarray:
    """A cube of 33 steps a channel, as a picture of 16 bit."""
    steps = np.linspace(0, 65_535, 33).astype(np.uint16)
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(33 * 33, 33, 3)


@pytest.mark.parametrize("profile", [P3, PROPHOTO, ADOBE], ids=["P3", "ProPhoto", "Adobe"])
def test_16_bit_of_a_wide_space_come_back_to_a_level_or_two(profile: bytes) -> None:
    space, levels = space_of_profile(profile), every_colour()
    assert space is not None
    pixels = srgb_floats(levels, 65_535, space)
    assert pixels.min() < -0.01  # the space is wider than sRGB, and nothing was clipped
    back = quantised(values_in(pixels, space), 16)
    assert np.abs(back.astype(int) - levels).max() <= 2


def test_8_bit_of_a_wide_space_come_back_to_the_bit() -> None:
    levels = (every_colour() >> 8).astype(np.uint8)
    for profile in (P3, PROPHOTO, ADOBE):
        space = space_of_profile(profile)
        assert space is not None
        assert np.array_equal(quantised(values_in(srgb_floats(levels, 255, space), space), 8), levels)


def test_a_profile_means_what_lcms_says_it_means() -> None:
    levels = (every_colour() >> 8).astype(np.uint8)
    for profile in (P3, PROPHOTO, ADOBE, badfiles.linear_colour_profile()):
        space = space_of_profile(profile)
        assert space is not None
        shown = quantised(srgb_floats(levels, 255, space), 8).astype(int)
        source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        expected = ImageCms.profileToProfile(Image.fromarray(levels), source, srgb)
        assert np.abs(shown - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize("space", [ADOBE_RGB, coded_space(12, 13), coded_space(9, 8)], ids=["Adobe", "P3", "linear"])
def test_a_profile_of_numbers_says_what_the_numbers_say(space) -> None:
    again = space_of_profile(profile_of(space))
    assert again is not None
    levels = every_colour()
    assert np.abs(srgb_floats(levels, 65_535, again) - srgb_floats(levels, 65_535, space)).max() < 2e-3
    eight = (levels >> 8).astype(np.uint8)
    mine = quantised(srgb_floats(eight, 255, space), 8)
    difference = ciede2000(lab_of(eight, profile_of(space)), lab_of(mine, badfiles.srgb_profile()))
    inside = (srgb_floats(eight, 255, space).min(axis=2) >= 0) & (srgb_floats(eight, 255, space).max(axis=2) <= 1)
    assert np.median(difference[inside]) < 1


def test_every_16_bit_level_of_srgb_comes_back_to_the_bit() -> None:
    levels = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(quantised(srgb_floats(levels, 65_535, None), 16)[..., 0], levels)


def test_a_grey_profile_comes_back_as_grey() -> None:
    space = space_of_profile(badfiles.linear_grey_profile())
    assert space is not None
    levels = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    back = quantised(values_in(srgb_floats(levels, 65_535, space), space), 16)
    assert np.abs(back.astype(int) - levels).max() <= 1


def test_a_dither_keeps_the_mean_and_the_ends_and_is_the_same_again() -> None:
    values = np.full((256, 256), 100.3 / 255, np.float32)
    dithered = quantised(values, 8, noise_seed=7)
    assert set(np.unique(dithered)) == {100, 101}
    assert abs(dithered.mean() - 100.3) < 0.01
    assert np.array_equal(dithered, quantised(values, 8, noise_seed=7))
    assert not np.array_equal(dithered, quantised(values, 8, noise_seed=8))
    for end in (0, 1):
        assert set(np.unique(quantised(np.full((512, 512), end, np.float32), 8, noise_seed=7))) == {255 * end}


@pytest.mark.parametrize("cut", [4, 100, 131, 140, 200, 300])
def test_a_profile_that_is_cut_off_is_broken_and_takes_nothing_down(cut: int) -> None:
    with pytest.raises(ValueError):
        space_of_profile(P3[:cut])


def test_profiles_of_tables_and_of_inks_are_left_to_others() -> None:
    assert space_of_profile(badfiles.ink_profile()) is None
