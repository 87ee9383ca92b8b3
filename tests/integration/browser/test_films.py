"""Films in a browser: played in step with what they were, gone through by frames, and told where none can be played."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser_site import FINGERS, HELD, MARKS, Gate, Site, faults
from tests.films import panning, write_film
from tests.page_layout import SIZES

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    Visit = Callable[..., Page]

pytestmark = MARKS

FRAMES, RATE = 50, 25

IN_STEP = """() => {
    const [after, before] = ["after", "before"].map((which) => document.getElementById(`film-${which}`));
    const areShown = [after, before].every((video) => video.matches(".here:not([hidden])") && !video.paused);
    return areShown && after.currentTime > 0.3 && Math.abs(after.currentTime - before.currentTime) < 0.1;
}"""
"""Whether the dream and its original have played for a while and are at one place."""

REST = """() => {
    const [after, before] = ["after", "before"].map((which) => document.getElementById(`film-${which}`));
    const doRest = [after, before].every((video) => video.paused && !video.seeking);
    return doRest && after.currentTime === before.currentTime;
}"""
"""Whether both rest at one place."""

ARE_AT = """([frame, rate]) => ["after", "before"].every((which) => {
    const video = document.getElementById(`film-${which}`);
    return !video.seeking && video.paused && Math.abs(video.currentTime * rate - frame - 0.5) < 0.01;
})"""
"""Whether both rest at a frame."""


@pytest.fixture(scope="module")
def films(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with a film, an animation, and a film that was made out of a picture."""
    made = tmp_path_factory.mktemp("films")
    path = made / "pan.webm"
    write_film(path, panning(FRAMES), codec="libvpx-vp9", sound=None, rate=RATE, ticks=Fraction(1, 1000))
    first, *rest = [Image.fromarray(each) for each in panning(3)]
    animation = io.BytesIO()
    first.save(animation, "GIF", save_all=True, append_images=rest, duration=100, loop=0)
    site.tree.recipe("films/zoom", "film: {frames: 10, fps: 10}\noutput: {film: webm}\n")
    for name, data in (("pan.webm", path.read_bytes()), ("pan.gif", animation.getvalue()), ("zoom/cat.png", None)):
        site.tree.drop(f"films/{name}", data)
    for name in ("pan.webm", "pan.gif", "zoom/cat.webm"):
        site.tree.result(f"films/{name}")
    return site


def opened(visit: Visit, site: Site, name: str, **options: Any) -> Page:
    page = visit(site, "#gallery?folder=films", **options)
    page.locator("#gallery .tile a", has_text=name).click()
    page.locator("#viewer-title", has_text=name).wait_for()
    return page


def playing(page: Page) -> None:
    """Wait until a film has played for a while."""
    page.wait_for_function("() => document.getElementById('film-after').currentTime > 0.3")


def is_media(route: Route) -> bool:
    return route.request.resource_type == "media"


@pytest.mark.parametrize("size", SIZES)
def test_a_film_and_what_it_was_play_in_step_and_stop_at_one_frame(films: Site, visit: Visit, size: str) -> None:
    page = opened(visit, films, "pan.webm", **SIZES[size])
    page.wait_for_function(IN_STEP)
    assert page.evaluate("document.getElementById('film-after').muted")
    page.get_by_label("Pause").click()
    page.get_by_label("Play", exact=True).wait_for()
    page.wait_for_function(REST)
    box = page.locator("#compare").bounding_box()
    if size == "desktop":
        page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 60)
    else:
        page.evaluate(HELD)
        page.evaluate(
            FINGERS, [["pointerdown", 1, 0.5, 0.2], ["pointermove", 1, 0.25, 0.2], ["pointerup", 1, 0.25, 0.2]]
        )
    expect(page.locator("#compare")).to_have_attribute("style", re.compile(r"--split: 25\b"))
    expect(page.locator(".layer.before")).to_have_css("clip-path", "inset(0px 75% 0px 0px)")
    assert faults(page) == []


def test_one_scrubber_and_the_keys_move_both_by_frames(films: Site, visit: Visit) -> None:
    page = opened(visit, films, "pan.webm", reduced_motion="reduce")
    scrub = page.get_by_role("slider", name="Place in the film")
    expect(scrub).to_have_attribute("max", str(FRAMES - 1))
    assert page.evaluate("document.getElementById('film-after').paused")  # who wants little to move begins it by hand
    for number in (30, 10, 41):  # the last counts, whatever was on its way
        scrub.evaluate(f"(scrub) => {{ scrub.value = {number}; scrub.dispatchEvent(new Event('input')); }}")
    page.wait_for_function(ARE_AT, arg=[41, RATE])
    for key, number in ((".", 42), (".", 43), (",", 42)):
        page.keyboard.press(key)
        page.wait_for_function(ARE_AT, arg=[number, RATE])
    expect(scrub).to_have_attribute("aria-valuetext", "0:01 / 0:02, frame 43 of 50")
    page.keyboard.press("k")
    page.get_by_label("Pause").wait_for()
    page.wait_for_function("() => document.getElementById('film-after').currentTime < 1")  # it goes round
    page.keyboard.press("k")
    page.get_by_role("button", name="Close").click()
    page.wait_for_function("() => !document.querySelector('#film-after').hasAttribute('src')")


def test_a_frame_that_is_wanted_before_the_films_are_here_is_shown_when_they_come(films: Site, visit: Visit) -> None:
    page = visit(films, "#gallery?folder=films", reduced_motion="reduce")
    gate = Gate()
    page.route("**/*", lambda route: gate.hold(route) if is_media(route) else route.continue_())
    page.locator("#gallery .tile a", has_text="pan.webm").click()
    page.locator("#viewer-title", has_text="pan.webm").wait_for()
    scrub = page.get_by_role("slider", name="Place in the film")
    scrub.focus()
    page.keyboard.press("End")
    page.locator("#film-frame", has_text=f"frame {FRAMES}").wait_for()
    gate.open()
    page.wait_for_function(ARE_AT, arg=[FRAMES - 1, RATE])


def test_a_film_is_opened_in_the_player_of_the_browser(films: Site, visit: Visit) -> None:
    page = visit(films, f"results/{films.tree.sidecar('films/pan.webm')['job']}")
    page.wait_for_function("() => document.querySelector('video').readyState > 2")


def test_a_film_out_of_a_picture_plays_over_the_picture(films: Site, visit: Visit) -> None:
    page = opened(visit, films, "cat.webm")
    playing(page)
    page.wait_for_function("() => document.getElementById('compare-before').naturalWidth > 0")
    expect(page.locator("#film-before")).to_be_hidden()
    expect(page.locator("#compare")).to_have_attribute("class", "compare")


def test_an_animation_moves_until_it_is_told_to_stand_still(films: Site, visit: Visit) -> None:
    page = opened(visit, films, "pan.gif")
    for which, whole in (("after", "results/"), ("before", "api/v1/jobs/")):
        page.locator(f"#compare-{which}[src^='{whole}']").wait_for()
    expect(page.locator("#film-scrub")).to_be_hidden()
    page.get_by_label("Pause").click()
    for which in ("after", "before"):
        page.locator(f"#compare-{which}[src^='thumbnails/']").wait_for()


def test_without_its_original_the_film_plays_alone(films: Site, visit: Visit) -> None:
    original = films.tree.done / "films" / "pan.webm"
    original.rename(original.with_suffix(".away"))
    try:
        page = opened(visit, films, "pan.webm", quiet=True)
        page.locator("#compare.single").wait_for()
        playing(page)
        page.get_by_text("The original is no longer where originals are kept").wait_for()
    finally:
        original.with_suffix(".away").rename(original)


@pytest.mark.parametrize(("address", "whose"), [("**/results/*", "this film"), ("**/original", "the original")])
def test_what_a_browser_cannot_play_is_told_with_a_way_to_it(
    films: Site, visit: Visit, address: str, whose: str
) -> None:
    page = visit(films, "#gallery?folder=films", quiet=True)

    def spoiled(route: Route) -> None:
        if is_media(route):
            route.fulfill(body="a codec of tomorrow", content_type="video/webm")
        else:
            route.continue_()

    page.route(address, spoiled)
    page.locator("#gallery .tile a", has_text="pan.webm").click()
    page.get_by_text(f"This browser cannot play {whose} (WEBM).").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download it").click()
    assert download.value.suggested_filename == "pan.webm"
    if whose == "this film":
        page.wait_for_function("() => document.getElementById('compare-before').naturalWidth > 0")
        expect(page.locator("#film")).to_be_hidden()
        expect(page.locator("#compare")).not_to_have_class(re.compile(r"\bsingle\b"))  # its first frame is compared
    else:
        playing(page)


def test_a_tile_tells_how_long_a_film_is_and_plays_it_under_the_mouse(films: Site, visit: Visit) -> None:
    page = visit(films, "#gallery?folder=films")
    tile = page.locator("#gallery .tile", has_text="pan.webm")
    expect(tile.locator(".length")).to_have_text("0:02")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#gallery .tile > a > img')].every((image) => image.naturalWidth === 64"
        " || image.naturalWidth === 32)"
    )
    tile.hover()
    tile.locator("video.closer.here").wait_for()
    expect(tile.locator("video")).to_have_js_property("muted", True)
    expect(tile.locator("video")).to_have_js_property("paused", False)
    page.mouse.move(0, 0)
    page.wait_for_function("() => !document.querySelector('#gallery video')")


def test_a_film_that_runs_tells_its_frame_how_long_it_takes_still_and_what_it_looks_like(
    films: Site, visit: Visit
) -> None:
    films.tree.recipe("films/slow", "ascent: {iterations: 300}\n")
    films.tree.drop("films/slow/pan.webm", (films.tree.done / "films" / "pan.webm").read_bytes())
    page = visit(films, "#now")
    card = page.locator(".dreaming-card", has_text="pan.webm")
    card.locator(".at", has_text=re.compile(r"frame \d+ of 50 · about .+ left")).wait_for()
    card.get_by_role("img", name="The dream as it is now").first.wait_for()
    page.get_by_role("button", name="Cancel pan.webm").click()
    card.wait_for(state="detached")
