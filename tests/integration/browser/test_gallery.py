"""The gallery in a browser: rows of whole pictures, what is sought, favourites, selecting, the trash, a ZIP."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser_site import MARKS, Site, seeing

if TYPE_CHECKING:
    from playwright.sync_api import Page

    Visit = Callable[..., Page]

pytestmark = MARKS

SHAPES = {
    "wide.png": (90, 30),
    "tall.png": (30, 60),
    "square.png": (40, 40),
    "plain.png": (64, 48),
    "slim.png": (24, 96),
}

TILES = """() => [...document.querySelectorAll("#gallery .tile")].map((tile) => {
    const box = tile.getBoundingClientRect(), image = tile.querySelector("img");
    return {name: tile.querySelector("b").textContent, left: box.left, right: box.right, top: box.top,
            height: box.height, ratio: box.width / box.height,
            own: image ? image.naturalWidth / image.naturalHeight : 0,
            room: document.getElementById("gallery").getBoundingClientRect().right};
})"""
"""Where each tile is, its shape, that of its picture, and where the room for tiles ends."""

IN_ROWS = """() => [...document.querySelectorAll("#gallery .tile")].every((tile) => tile.style.width !== "")"""
"""Whether the tiles have their widths, which they get once the page knows its own."""

WHOLE = """() => {
    const images = [...document.querySelectorAll("#gallery .tile img:not(.original)")];
    return images.length > 0 && images.every((image) => image.complete && image.naturalWidth > 0);
}"""
"""Whether every picture is here."""

NOTICES_ABOVE = """() => document.getElementById("notices").getBoundingClientRect().bottom
    <= document.getElementById("selection").getBoundingClientRect().top"""
"""Whether what is told in passing leaves free what can be done with a selection."""

TOUCH = """([selector, kind]) => document.querySelector(selector).dispatchEvent(
    new PointerEvent(kind, {bubbles: true, pointerType: "touch", pointerId: 7, isPrimary: true}))"""
"""What a browser tells of a finger."""


@pytest.fixture(scope="module")
def shapes(site: Site) -> Site:
    """A site with pictures of many shapes in one folder, the last of them the newest."""
    for name, size in SHAPES.items():
        site.tree.drop(f"shapes/{name}", site.tree.picture(*size))
        site.tree.result(f"shapes/{name}")
    return site


def dreamed(site: Site, folder: str, *names: str) -> None:
    for name in names:
        site.tree.drop(f"{folder}/{name}")
        site.tree.result(f"{folder}/{name}")


def tile(page: Page, name: str) -> Any:
    return page.locator("#gallery .tile", has_text=name)


@pytest.mark.parametrize("width", [1440, 700, 390])
def test_pictures_keep_their_shapes_in_full_rows(shapes: Site, visit: Visit, width: int) -> None:
    page = visit(shapes, "#gallery?folder=shapes", viewport={"width": width, "height": 800})
    seeing(page, *reversed(SHAPES))
    page.wait_for_function(WHOLE)
    page.wait_for_function(IN_ROWS)
    tiles = page.evaluate(TILES)
    for each in tiles:
        narrow = 0.45 if each["name"] == "slim.png" else each["own"]  # what is extreme stands in a box that is less so
        assert each["ratio"] == pytest.approx(narrow, rel=0.02), each
    rows: dict[float, list[dict[str, float]]] = {}
    for each in tiles:
        rows.setdefault(round(each["top"]), []).append(each)
    for row in rows.values():
        assert max(each["height"] for each in row) - min(each["height"] for each in row) < 1
        assert all(one["right"] <= other["left"] for one, other in pairwise(row))
    for row in list(rows.values())[:-1]:
        assert row[-1]["right"] == pytest.approx(row[-1]["room"], abs=2)


def test_nothing_jumps_when_the_pictures_come(shapes: Site, visit: Visit) -> None:
    places = []
    for is_here in (False, True):
        page = visit(shapes, quiet=True)  # the browser writes of what does not come
        if not is_here:
            page.route("**/thumbnails/**", lambda route: route.abort())
        page.evaluate("location.hash = '#gallery?folder=shapes'")
        seeing(page, *reversed(SHAPES))
        page.wait_for_function(IN_ROWS)
        if is_here:
            page.wait_for_function(WHOLE)
        places.append([(each["name"], each["left"], each["top"], each["height"]) for each in page.evaluate(TILES)])
    assert places[0] == places[1]


def test_the_original_fades_in_under_a_mouse_with_the_focus_and_under_a_finger(shapes: Site, visit: Visit) -> None:
    page = visit(shapes, "#gallery?folder=shapes")
    seeing(page, *reversed(SHAPES))
    tile(page, "plain.png").hover()
    seen_through(page, "plain.png", "1")
    page.mouse.move(0, 0)
    seen_through(page, "plain.png", "0")
    page.keyboard.press("Tab")
    tile(page, "wide.png").locator("a").focus()
    seen_through(page, "wide.png", "1")
    id_ = tile(page, "tall.png").get_attribute("data-id")
    page.evaluate(TOUCH, [f"#gallery [data-id='{id_}'] a img", "pointerdown"])
    seen_through(page, "tall.png", "1")
    page.evaluate(TOUCH, [f"#gallery [data-id='{id_}'] a img", "pointerup"])
    seen_through(page, "tall.png", "0")
    page.get_by_text("1 selected").wait_for()  # a long press selects, too
    tile(page, "square.png").click()
    page.get_by_text("2 selected").wait_for()


def seen_through(page: Page, name: str, opacity: str) -> None:
    expect(tile(page, name).locator(".original")).to_have_css("opacity", opacity)


def test_results_are_sorted_and_searched_by_folder_and_recipe_and_the_address_says_so(
    shapes: Site, visit: Visit
) -> None:
    page = visit(shapes, "#gallery?folder=shapes")
    page.locator("#gallery-sort").select_option("name")
    seeing(page, *sorted(SHAPES))
    page.wait_for_url("**/#gallery?folder=shapes&sort=name")
    page.locator("#gallery-search").fill("tiny wide")  # the network of its recipe, and its name
    seeing(page, "wide.png")
    page.locator("#gallery-search").fill("nosuchthing")
    page.get_by_text("Nothing is found by “nosuchthing” in shapes.").wait_for()
    page.locator("#gallery-search").fill("")
    seeing(page, *sorted(SHAPES))
    tile(page, "square.png").click()
    page.get_by_role("button", name="Next result").click()
    page.locator("#viewer-title", has_text="tall.png").wait_for()  # as the gallery is sorted
    page.get_by_role("button", name="Close").click()
    seeing(page, *sorted(SHAPES))


def test_a_favourite_is_seen_in_every_browser_and_listed_alone(site: Site, visit: Visit) -> None:
    dreamed(site, "stars", "one.png", "two.png")
    first, second = visit(site, "#gallery?folder=stars"), visit(site, "#gallery?folder=stars")
    seeing(second, "two.png", "one.png")
    tile(first, "one.png").hover()
    first.get_by_role("button", name="Favourite one.png").click()
    second.locator("#gallery .tile.favourite", has_text="one.png").wait_for()
    second.get_by_role("radio", name="Favourites").check()
    seeing(second, "one.png")
    tile(second, "one.png").locator("a").focus()
    second.keyboard.press("f")
    second.get_by_text("No favourites yet in stars.").wait_for()
    first.wait_for_function("() => !document.querySelector('#gallery .tile.favourite')")


def test_several_are_selected_downloaded_deleted_and_taken_back(site: Site, visit: Visit) -> None:
    names = [f"{number}.png" for number in range(5)]
    dreamed(site, "many", *names)
    page = visit(site, "#gallery?folder=many")
    seeing(page, *reversed(names))
    tile(page, "1.png").hover()
    page.get_by_role("button", name="Select 1.png").click()
    tile(page, "3.png").click(modifiers=["Shift"])
    page.get_by_text("3 selected").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    archive = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert sorted(archive.namelist()) == ["many/1.png", "many/2.png", "many/3.png"]
    tile(page, "1.png").locator("a").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Delete")
    seeing(page, "4.png", "3.png", "0.png")
    assert sorted(file.name for file in (site.tree.outbox / "many").glob("*.png")) == ["0.png", "3.png", "4.png"]
    page.get_by_role("button", name="Undo").click()
    seeing(page, *reversed(names))
    assert (site.tree.outbox / "many" / "2.png.json").exists()


def test_what_is_in_the_trash_is_looked_at_and_restored(site: Site, visit: Visit) -> None:
    dreamed(site, "bin", "a.png", "b.png")
    page = visit(site, "#gallery?folder=bin")
    seeing(page, "b.png", "a.png")
    tile(page, "a.png").locator("a").focus()
    page.keyboard.press("Delete")
    seeing(page, "b.png")
    page.get_by_role("radio", name="Trash").check()
    seeing(page, "a.png")
    page.wait_for_function(WHOLE)
    tile(page, "a.png").hover()
    page.get_by_role("button", name="Select a.png").click()
    page.wait_for_function(NOTICES_ABOVE)
    expect(page.get_by_role("button", name="Delete")).to_be_hidden()
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("The trash is empty in bin.").wait_for()
    page.get_by_role("radio", name="All").check()
    seeing(page, "b.png", "a.png")


def test_what_was_taken_away_is_dismissed(site: Site, visit: Visit) -> None:
    dreamed(site, "away", "gone.png", "here.png")
    for file in (site.tree.outbox / "away").glob("gone*"):
        file.unlink()
    page = visit(site, "#gallery?folder=away")
    seeing(page, "here.png", "gone.png")
    tile(page, "gone.png").get_by_role("button", name="Dismiss").click()
    seeing(page, "here.png")
    page.get_by_role("button", name="Undo").click()
    seeing(page, "here.png", "gone.png")


def test_while_nothing_runs_the_newest_dream_stands_where_dreams_run(site: Site, visit: Visit) -> None:
    dreamed(site, "newest", "first.png")
    page = visit(site)
    rest = page.locator("#running .resting-dream")
    rest.get_by_text("first.png").wait_for()
    rest.get_by_text("Nothing runs. Drop a picture, and watch it here.").wait_for()
    dreamed(site, "newest", "second.png")
    rest.get_by_text("second.png").wait_for()
    rest.get_by_role("link", name="The newest dream: second.png").click()
    page.get_by_role("dialog").get_by_text("newest/second.png").first.wait_for()
