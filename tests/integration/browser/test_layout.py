"""Every view of the page on a desktop and a phone: what stands where, as it was looked at and found good.

`make page-pictures` takes the pictures of docs/images/page anew and keeps the layouts; look at them before you commit
them. A test compares layouts and not pixels, so that another font is no fault.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.browser_site import MARKS, Site
from tests.films import write_film
from tests.page_layout import FAULTS, FILE, SIZES, Layout, kept_layouts, layout_of

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree
    from playwright.sync_api import Page

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]
    Visit = Callable[..., Page]

pytestmark = MARKS

REPOSITORY = Path(__file__).parents[3]
DREAMS = REPOSITORY / "docs" / "images" / "gallery"
PICTURES = REPOSITORY / "docs" / "images" / "page"

SHOWN = ("animals-forest", "coral-still_life", "arches-street", "weave-page", "city-landscape", "orchard-street")
"""Dreams that are on the page, as results of an executor that gives every picture back as it is."""

WALK = "walk.webm"
"""The film that is on the page."""

SETTLE_SECONDS = 20
"""The longest time that a page takes to fill, also on a busy machine."""

KEEPS = "DREAMD_KEEP_LAYOUTS" in os.environ
"""Whether the pictures are taken and the layouts kept, in place of compared."""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Site:
    """A site with dreams, and with something of everything that needs a person."""
    tree = make(tmp_path_factory.mktemp("layout") / "tree")
    tree.echo()
    with Image.open(DREAMS / f"{SHOWN[0]}.jpg") as dream:
        (tree.root / "size").write_text(json.dumps(dream.size))
    site = Site(tree, started)
    for name in SHOWN:
        tree.drop(f"holidays/{name}.jpg", (DREAMS / f"{name}.jpg").read_bytes())
        tree.result(f"holidays/{name}.png")
    tree.drop("holidays/broken.png")
    tree.failure("holidays/broken.png")
    tree.recipe("typo", "sed: 1\n")
    tree.drop("typo/a.png")
    tree.hold("typo")
    return site


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Site:
    """A site with a film, beside what it was: a walk past two pictures of docs/gallery.md."""
    folder = tmp_path_factory.mktemp("walk")
    tree = make(folder / "tree")
    tree.echo()
    (tree.root / "dreams").mkdir()
    size, frames = (480, 300), 12
    for path, picture in ((folder / WALK, "forest.jpg"), (tree.root / "dreams" / WALK, "animals-forest.jpg")):
        with Image.open(DREAMS / picture) as image:
            whole = np.asarray(ImageOps.fit(image, (size[0] + 2 * frames, size[1])))
        walk = [np.ascontiguousarray(whole[:, 2 * number : 2 * number + size[0]]) for number in range(frames)]
        write_film(path, walk, codec="libvpx-vp9", sound=None, ticks=Fraction(1, 1000))
    data = (folder / WALK).read_bytes()
    told = {"size": size, "frames": frames, "film_seconds": 0.48, "input_sha256": hashlib.sha256(data).hexdigest()}
    (tree.root / "dreams" / f"{WALK}.json").write_text(json.dumps(told))
    site = Site(tree, started)
    tree.drop(f"holidays/{WALK}", data)
    tree.result(f"holidays/{WALK}")
    return site


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Site:
    """A site that nobody has dropped a picture on."""
    tree = make(tmp_path_factory.mktemp("untouched") / "tree")
    tree.echo()
    return Site(tree, started)


@pytest.fixture(scope="module")
def layouts() -> Iterator[dict[str, Layout]]:
    """The layouts that are kept; with `make page-pictures`, those that are seen now."""
    if not KEEPS:
        yield kept_layouts()
        return
    seen: dict[str, Layout] = {}
    yield seen
    FILE.write_text(json.dumps(seen, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def now(page: Page) -> None:
    page.locator("#latest li").nth(len(SHOWN) - 1).wait_for()
    page.locator("#running .resting-dream").wait_for()


def gallery_view(page: Page) -> None:
    page.evaluate("location.hash = '#gallery'")
    page.locator("#gallery li").nth(len(SHOWN) - 1).wait_for()


def attention(page: Page) -> None:
    page.evaluate("location.hash = '#attention'")
    page.locator("#attention article").nth(1).wait_for()


def recipes(page: Page) -> None:
    page.evaluate("location.hash = '#recipes/holidays'")
    page.locator("#view-recipes img").first.wait_for()


def viewer(page: Page) -> None:
    gallery_view(page)
    page.locator("#gallery a[href^='#result/']").first.click()
    page.get_by_role("dialog").wait_for()


def film(page: Page) -> None:
    page.evaluate("location.hash = '#gallery'")
    page.locator("#gallery a[href^='#result/']").first.click()
    page.get_by_role("dialog").wait_for()
    for which in ("after", "before"):
        page.locator(f"#film-{which}.here").wait_for()


def again(page: Page) -> None:
    viewer(page)
    page.get_by_role("link", name="Dream it again").click()
    page.locator("#view-again img:visible").nth(5).wait_for()


def nothing_yet(page: Page) -> None:
    page.locator("#running > .empty").wait_for()
    page.locator(".state.is-running").wait_for()


def no_results(page: Page) -> None:
    page.evaluate("location.hash = '#gallery'")
    page.get_by_text("No results yet.").wait_for()


VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "now": ("gallery", now),
    "gallery": ("gallery", gallery_view),
    "attention": ("gallery", attention),
    "recipes": ("gallery", recipes),
    "viewer": ("gallery", viewer),
    "film": ("films", film),
    "again": ("gallery", again),
    "nothing-yet": ("untouched", nothing_yet),
    "no-results": ("untouched", no_results),
}
"""Each view's site, and how it is come to from the page as it opens."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_laid_out_as_it_was_found_good(
    request: pytest.FixtureRequest, visit: Visit, layouts: dict[str, Layout], view: str, size: str
) -> None:
    site, come_to = VIEWS[view]
    page = visit(request.getfixturevalue(site), quiet=True, reduced_motion="reduce", **SIZES[size])
    come_to(page)
    if KEEPS:
        page.wait_for_load_state("networkidle")
        layouts[f"{view} {size}"] = layout_of(page)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            keep(page.screenshot(), f"{view}-{size}-{scheme}")
    assert settled(page, layouts[f"{view} {size}"]) == (layouts[f"{view} {size}"], [])


def settled(page: Page, expected: Layout) -> tuple[Layout, list[str]]:
    """Wait until a page that still fills is laid out as expected; return how it is in the end, and its faults."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        found = layout_of(page), page.evaluate(FAULTS)
        if found == (expected, []) or time.monotonic() > end:
            return found
        page.wait_for_timeout(100)


def keep(screenshot: bytes, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    Image.open(io.BytesIO(screenshot)).convert("RGB").save(PICTURES / f"{name}.webp", quality=82, method=6)
