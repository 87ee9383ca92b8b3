"""One result in a browser: looked at closely, swiped, marked, deleted, and shared beside its original."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser_site import FINGERS, HELD, MARKS, Site, seeing, wait_for_picture

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree
    from playwright.sync_api import Page, Route

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]
    Visit = Callable[..., Page]

pytestmark = MARKS

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NAMES = ("one.png", "two.png", "three.png")


@pytest.fixture(scope="module")
def trip(site: Site) -> Site:
    """A site with three results in one folder, the last of them the newest."""
    for number, name in enumerate(NAMES):
        site.tree.drop(f"trip/{name}", site.tree.picture(60 + number, 40))
        site.tree.result(f"trip/{name}")
    return site


def opened(visit: Visit, site: Site, name: str, folder: str = "trip", **options: Any) -> Page:
    page = visit(site, f"#gallery?folder={folder}", **options)
    page.locator("#gallery .tile a", has_text=name).click()
    page.locator("#viewer-title", has_text=name).wait_for()
    page.wait_for_function(
        "() => ['before', 'after'].every((id) => document.getElementById(`compare-${id}`).naturalWidth)"
    )
    return page


def zoom(page: Page) -> tuple[float, float, float]:
    """How closely one looks, and where the picture is, in pixels."""
    values = page.locator("#compare").evaluate(
        "(stage) => ['--zoom', '--x', '--y'].map((name) => parseFloat(stage.style.getPropertyValue(name)))"
    )
    return values[0], values[1], values[2]


def test_a_wheel_zooms_where_the_mouse_is_and_a_drag_moves_the_picture(trip: Site, visit: Visit) -> None:
    page = opened(visit, trip, "two.png")
    box = page.locator("#compare").bounding_box()
    at = (box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.5)
    page.mouse.move(*at)
    page.mouse.wheel(0, -700)
    page.locator("#compare.zoomed").wait_for()
    closely, x, y = zoom(page)
    assert closely > 2
    assert x == pytest.approx(box["width"] * 0.75 * (1 - closely), abs=2)  # what was under the mouse still is
    page.mouse.down()
    page.mouse.move(at[0] + 50, at[1] + 20, steps=3)
    page.mouse.up()
    assert zoom(page) == (closely, pytest.approx(x + 50, abs=2), pytest.approx(y + 20, abs=2))
    page.mouse.wheel(0, 5000)
    page.locator("#compare:not(.zoomed)").wait_for()
    assert zoom(page) == (1, 0, 0)


def test_keys_zoom_move_and_mark_and_the_next_result_is_whole_again(trip: Site, visit: Visit) -> None:
    page = opened(visit, trip, "two.png")
    page.get_by_role("button", name="Close").focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert zoom(page)[0] == pytest.approx(2.25)
    before = zoom(page)[1]
    page.keyboard.press("Shift+ArrowRight")
    assert zoom(page)[1] < before
    page.keyboard.press("f")
    page.locator("#viewer-star[aria-pressed=true]").wait_for()
    page.keyboard.press("f")
    page.locator("#viewer-star[aria-pressed=false]").wait_for()
    page.keyboard.press("ArrowRight")
    page.locator("#viewer-title", has_text="one.png").wait_for()
    assert zoom(page) == (1, 0, 0)


def test_a_large_picture_is_seen_whole_again_when_one_comes_back_to_it(trip: Site, visit: Visit) -> None:
    page = opened(visit, trip, "two.png")
    page.get_by_role("button", name="Close").focus()

    def enlarged(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "size": [4000, 3000]})

    page.route("**/api/results/*", enlarged)
    for _ in range(2):
        for key, name in (("ArrowRight", "one.png"), ("ArrowLeft", "two.png")):
            page.keyboard.press(key)
            page.locator("#viewer-title", has_text=name).wait_for()
        page.locator("#compare-after[src^='thumbnails/']").wait_for()
        page.keyboard.press("+")
        page.locator("#compare-after[src^='results/']").wait_for()


def test_a_mouse_moves_the_divider_and_the_slider_with_it(trip: Site, visit: Visit) -> None:
    page = opened(visit, trip, "two.png")
    box = page.locator("#compare").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 30)
    expect(page.get_by_role("slider")).to_have_value("25")


def test_fingers_swipe_to_the_next_result_pinch_and_move_the_divider(trip: Site, visit: Visit) -> None:
    page = opened(visit, trip, "two.png", **PHONE)
    page.evaluate(HELD)
    title = page.locator("#viewer-title")
    page.evaluate(FINGERS, [["pointerdown", 1, 0.9, 0.2], ["pointermove", 1, 0.4, 0.2], ["pointerup", 1, 0.4, 0.2]])
    title.get_by_text("one.png").wait_for()
    page.evaluate(FINGERS, [["pointerdown", 1, 0.1, 0.2], ["pointermove", 1, 0.7, 0.2], ["pointerup", 1, 0.7, 0.2]])
    title.get_by_text("two.png").wait_for()
    page.evaluate(FINGERS, [["pointerdown", 1, 0.5, 0.5], ["pointermove", 1, 0.8, 0.5], ["pointerup", 1, 0.8, 0.5]])
    expect(page.get_by_role("slider")).to_have_value("80")
    spread = [["pointerdown", 1, 0.4, 0.4], ["pointerdown", 2, 0.6, 0.4],
              ["pointermove", 1, 0.2, 0.4], ["pointermove", 2, 0.8, 0.4],
              ["pointerup", 1, 0.2, 0.4], ["pointerup", 2, 0.8, 0.4]]  # fmt: skip
    page.evaluate(FINGERS, spread)
    closely, x, _ = zoom(page)
    assert closely == pytest.approx(3, rel=0.05)
    assert x == pytest.approx(-390, abs=20)  # the middle stays in the middle
    page.evaluate(FINGERS, [["pointerdown", 1, 0.2, 0.3], ["pointermove", 1, 0.1, 0.3], ["pointerup", 1, 0.1, 0.3]])
    assert zoom(page)[1] == pytest.approx(x - 39, abs=2)  # what is looked at closely is moved, and not swiped
    title.get_by_text("two.png").wait_for()


def test_before_and_after_are_shared_in_one_picture(trip: Site, visit: Visit) -> None:
    page = opened(visit, trip, "two.png")
    page.locator("#viewer-share summary").click()
    for layout, size in (("side", (61, 80)), ("split", (61, 40))):
        link = page.locator(f"#viewer-share-{layout}")
        wait_for_picture(link.locator("img"), 61)
        with page.expect_download() as download:
            link.click()
        assert download.value.suggested_filename == "two-before-after.jpg"
        picture = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
        assert picture.format == "JPEG"
        assert picture.width == size[0]
        assert picture.height > size[1]


def test_a_result_is_deleted_where_it_is_looked_at_and_taken_back(site: Site, visit: Visit) -> None:
    for name in ("a.png", "b.png"):
        site.tree.drop(f"viewed/{name}")
        site.tree.result(f"viewed/{name}")
    page = opened(visit, site, "b.png", "viewed")
    page.get_by_role("button", name="Delete").click()
    page.locator("#viewer-title", has_text="a.png").wait_for()
    assert not (site.tree.outbox / "viewed" / "b.png").exists()
    page.get_by_role("button", name="Undo").click()  # it is within the dialog, or nobody could press it
    page.get_by_text("1 result back in the gallery.").wait_for()
    assert (site.tree.outbox / "viewed" / "b.png").exists()
    page.get_by_role("button", name="Close").click()
    seeing(page, "b.png", "a.png")


def test_where_originals_are_not_kept_none_is_asked_for(
    tmp_path: Path, make: Make, run_daemon: Run, visit: Visit
) -> None:
    tree = make(tmp_path / "tree", originals="delete")
    page = visit(Site(tree, run_daemon), "#gallery")
    tree.drop("a.png")
    tree.result("a.png")
    page.locator("#gallery .tile a", has_text="a.png").hover()
    page.locator("#gallery .tile a", has_text="a.png").click()
    page.get_by_text("Originals are not kept here, so there is nothing to compare with.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Recipes").click()
    page.wait_for_function("() => document.querySelector('#trial-before img')?.naturalWidth > 0")
    expect(page.locator("#trial-source")).to_have_value("sample")
