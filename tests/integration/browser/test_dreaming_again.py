"""Dreaming a picture again on the page, and the dreams side by side, in a real Chromium beside a real daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser_site import MARKS, Site, drop_into, faults, seeing, seen

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree
    from playwright.sync_api import Locator, Page

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]
    Visit = Callable[..., Page]

pytestmark = MARKS

UNLUCKY = 13
"""The width in pixels of pictures that meet the mood of their folder."""

SEEN_ALIKE = """() => {
    const images = [...document.querySelectorAll("#panes .frame > img")];
    return images.length === COUNT && new Set(images.map((image) => getComputedStyle(image).transform)).size === 1;
}"""
"""Whether so many pictures are shown, all at one zoom and one place."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Site:
    tree = make(tmp_path_factory.mktemp("again-browser") / "tree", limits={"attempts": 1}, recipes="recipes")
    recipes = tree.root / "recipes"
    recipes.mkdir(exist_ok=True)
    (recipes / "third.yaml").write_text("# With another seed.\nseed: 3\n")
    (recipes / "fourth.yaml").write_text("seed: 4\n")
    (recipes / "far.yaml").write_text("backbone: {name: far, weights: default}\n")
    (recipes / "calm.yaml").write_text("schedule: {name: moody, mood: calm}\n")
    return Site(tree, started)


def dreamed(site: Site, page: Page, name: str, folder: str | None = None) -> str:
    """Dreams a picture of a name, in a folder of that name or another, and returns its job's id."""
    folder = name if folder is None else folder
    drop_into(page, folder, f"{name}.png", site.tree.picture(64, 48))
    site.tree.result(f"{folder}/{name}.png")
    seen(page, f"{name}.png").wait_for()
    job: str = site.tree.sidecar(f"{folder}/{name}.png")["job"]
    return job


def choose(page: Page, *names: str) -> None:
    for name in names:
        page.locator(f".preset[data-name='{name}'] input").check()


def wait_until_seen(page: Page, count: int) -> None:
    page.wait_for_function(SEEN_ALIKE.replace("COUNT", str(count)))


def first_picture(page: Page) -> Locator:
    return page.locator("#panes .frame > img").first


def transform(page: Page) -> str:
    text: str = first_picture(page).evaluate("(image) => getComputedStyle(image).transform")
    return text


def transform_after(page: Page, before: str) -> str:
    """Wait until the pictures are seen otherwise than before, and tell how."""
    expect(first_picture(page)).not_to_have_css("transform", before)
    return transform(page)


def test_a_result_is_dreamed_again_by_several_recipes_and_they_appear_side_by_side(site: Site, visit: Visit) -> None:
    page = visit(site)
    job = dreamed(site, page, "several")
    page.goto(f"{site.url}#result/{job}")
    page.get_by_role("link", name="Dream it again").click()
    choose(page, "third", "fourth")
    assert faults(page) == []
    page.get_by_role("button", name="Dream 2 pictures").click()
    wait_until_seen(page, 3)
    expect(page.locator("#panes figcaption b")).to_have_text(["the original", "fourth", "third"])
    assert faults(page) == []
    address = page.url
    page.goto(f"{site.url}#compare")
    page.locator("#panes-list a").first.click()
    page.wait_for_url(address)
    page.reload()
    wait_until_seen(page, 3)
    page.get_by_text("What differs in their recipes").click()
    expect(page.locator("#panes-table tbody tr").first.locator("td")).to_have_text(["seed", "4", "3"])


def test_one_zoom_and_one_place_count_for_all_pictures(site: Site, visit: Visit) -> None:
    page = visit(site)
    jobs = [dreamed(site, page, f"zoom-{number}") for number in (1, 2)]
    page.goto(f"{site.url}#compare/{','.join(jobs)}")
    wait_until_seen(page, 3)
    frames = page.locator("#panes .frame")
    whole = transform(page)
    frames.nth(1).dblclick()
    near = transform_after(page, whole)
    wait_until_seen(page, 3)
    box = frames.nth(1).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 40, steps=3)
    page.mouse.up()
    transform_after(page, near)
    page.mouse.wheel(0, -300)
    page.wait_for_function("() => document.getElementById('zoom-value').textContent !== '3×'")
    wait_until_seen(page, 3)
    frames.nth(2).focus()
    before = transform(page)
    page.keyboard.press("ArrowRight")
    transform_after(page, before)
    page.keyboard.press("0")
    expect(first_picture(page)).to_have_css("transform", whole)
    page.keyboard.press("+")
    expect(page.locator("#zoom-value")).to_have_text("1.5×")
    page.locator("#zoom-fit").click()
    page.get_by_role("button", name="Original").click()
    sources = page.locator("#panes .instead").evaluate_all("(images) => images.map((image) => image.src)")
    assert len(sources) == 2
    assert len(set(sources)) == 1


def test_results_that_are_selected_in_the_gallery_are_compared(site: Site, visit: Visit) -> None:
    page = visit(site)
    dreamed(site, page, "chosen-one")
    site.tree.drop("chosen-two/chosen-two.png", site.tree.picture(48, 64))
    seen(page, "chosen-two.png").wait_for()
    page.goto(f"{site.url}#gallery?search=chosen")
    seeing(page, "chosen-two.png", "chosen-one.png")
    page.locator("#gallery .tile a").first.focus()
    page.keyboard.press("x")
    expect(page.locator("#selection-again")).to_have_text("Again")
    page.keyboard.press("Control+a")
    page.get_by_role("link", name="Compare", exact=True).click()
    wait_until_seen(page, 2)
    expect(page.locator("#panes-title")).to_have_text("2 dreams")
    expect(page.locator(".pane.original")).to_have_count(0)
    expect(page.locator("#panes figcaption b")).to_have_text(["chosen-two.png", "chosen-one.png"])


def test_two_fingers_zoom_and_one_pans(site: Site, visit: Visit) -> None:
    page = visit(site, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    job = dreamed(site, page, "pinch")
    page.goto(f"{site.url}#compare/{job}")
    wait_until_seen(page, 2)
    box = page.locator("#panes .frame").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": left, "y": top, "id": number} for number, (left, top) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (x - 10, y), (x + 10, y))
    touch("touchMove", (x - 30, y), (x + 30, y))
    touch("touchMove", (x - 40, y), (x + 40, y))
    touch("touchEnd")
    page.wait_for_function("() => parseFloat(document.getElementById('zoom-value').textContent) > 2")
    before = transform(page)
    touch("touchStart", (x, y))
    touch("touchMove", (x + 15, y + 10))
    touch("touchMove", (x + 25, y + 15))
    touch("touchEnd")
    transform_after(page, before)
    wait_until_seen(page, 2)
    page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")


def test_a_field_is_swept_over_names_that_are_ticked_or_values_of_a_range(site: Site, visit: Visit) -> None:
    page = visit(site)
    job = dreamed(site, page, "swept")
    page.goto(f"{site.url}#again/{job}?by=values")
    page.locator("#sweep-field").select_option("schedule.name")
    page.locator("#sweep-text").fill("moody")
    page.locator("#sweep-names").get_by_label("octaves", exact=True).check()
    expect(page.locator("#sweep-text")).to_have_value(re.compile(r"^(moody, octaves|octaves, moody)$"))
    page.get_by_role("button", name="Dream 2 pictures").wait_for()
    page.locator("#sweep-field").select_option("ascent.iterations")
    page.locator("#sweep-from").fill("1")
    page.locator("#sweep-to").fill("3")
    page.locator("#sweep-steps").fill("3")
    page.get_by_role("button", name="Fill in").click()
    expect(page.locator("#sweep-text")).to_have_value("1, 2, 3")
    expect(page.locator("#again-small")).to_be_checked()
    assert faults(page) == []
    page.get_by_role("button", name="Dream 3 pictures").click()
    wait_until_seen(page, 4)
    expect(page.locator("#panes-title")).to_have_text("swept.png: ascent.iterations")
    labels = ["the original", "iterations 1", "iterations 2", "iterations 3"]
    expect(page.locator("#panes figcaption b")).to_have_text(labels)


def test_its_own_recipe_is_edited_and_judged_before_it_is_dreamed(site: Site, visit: Visit) -> None:
    page = visit(site, quiet=True)  # the browser itself writes of the refusal
    job = dreamed(site, page, "edited", ".")
    page.goto(f"{site.url}#again/{job}")
    page.locator("#again-own").check()
    text = page.locator("#again-text").input_value()
    page.locator("#again-text").fill(text.replace("seed: 0", "sed: 7"))
    page.get_by_text("did you mean seed?").wait_for()
    expect(page.get_by_role("button", name="Dream 1 picture")).to_be_disabled()
    page.locator("#again-text").fill(text.replace("seed: 0", "seed: 7"))
    page.get_by_text("This is right.").wait_for()
    page.get_by_role("button", name="Dream 1 picture").click()
    wait_until_seen(page, 2)
    expect(page.locator("#panes figcaption b").last).to_have_text("edited")


def test_where_the_original_is_gone_the_dream_is_offered_in_its_place(site: Site, visit: Visit) -> None:
    page = visit(site)
    job = dreamed(site, page, "gone")
    (site.tree.done / "gone" / "gone.png").unlink()
    page.goto(f"{site.url}#again/{job}")
    page.get_by_text("The original is no longer where originals are kept.").wait_for()
    expect(page.locator("input[value=original]")).to_be_disabled()
    expect(page.locator("input[value=result]")).to_be_checked()
    choose(page, "third")
    page.get_by_role("button", name="Dream 1 picture").click()
    wait_until_seen(page, 2)
    expect(page.locator("#panes figcaption b").first).to_have_text("the dream before")


def test_an_address_of_no_result_says_so(site: Site, visit: Visit) -> None:
    page = visit(site, "#again/nothing", quiet=True)
    page.get_by_role("alert").get_by_text("there is no result of this job").wait_for()
    page.goto(f"{site.url}#compare/nothing")
    page.get_by_text("there is no such comparison").wait_for()


def test_what_is_held_says_why_beside_what_is_done_and_is_cancelled(site: Site, visit: Visit) -> None:
    page = visit(site)
    job = dreamed(site, page, "held")
    page.goto(f"{site.url}#again/{job}")
    choose(page, "third", "far")
    page.locator("#again-weights").get_by_text("The weights of far are not here.").wait_for()
    page.get_by_role("button", name="Dream 2 pictures").click()
    held: Any = page.locator(".pane.bad")
    held.get_by_text("weights of far are not here").wait_for()
    page.get_by_text("1 dream held until what is wrong is mended.").wait_for()
    wait_until_seen(page, 2)
    held.get_by_role("button", name="Cancel").click()
    held.locator(".word").get_by_text("failed").wait_for()


def test_the_best_is_kept_and_the_rest_discarded_and_brought_back(site: Site, visit: Visit) -> None:
    page = visit(site)
    job = dreamed(site, page, "kept")
    page.goto(f"{site.url}#again/{job}")
    choose(page, "third", "fourth")
    page.get_by_role("button", name="Dream 2 pictures").click()
    wait_until_seen(page, 3)
    (fourth,), (third,) = (list(site.tree.outbox.glob(f"kept/{name}-*/kept.png")) for name in ("fourth", "third"))
    page.locator(".pane", has_text="third").get_by_role("button", name="Keep only this").click()
    page.get_by_text("1 dream in the trash.").wait_for()
    assert not fourth.exists()
    assert third.exists()
    expect(page.locator(".pane.discarded b")).to_have_text(["fourth"])
    page.locator("#panes-about").get_by_role("button", name="Bring back").click()
    page.locator(".pane.discarded").wait_for(state="detached")
    assert fourth.exists()
    expect(page.get_by_role("button", name="Keep only this")).to_have_count(2)


def made_by_dreamd(site: Site, page: Page, folder: str) -> Path:
    """Dreams a picture by a recipe that is written into it, and returns the result."""
    site.tree.recipe(folder, "seed: 21\noutput: {embed: true}\n")
    dreamed(site, page, folder)
    return site.tree.outbox / folder / f"{folder}.png"


def test_a_dropped_dream_offers_its_recipe_to_the_chosen_folder(site: Site, visit: Visit) -> None:
    page = visit(site)
    result = made_by_dreamd(site, page, "offers")
    drop_into(page, "fresh", "found.png", result.read_bytes())
    page.get_by_text("found.png was made by dreamd").wait_for()
    assert faults(page) == []
    page.get_by_role("button", name="Edit it as the recipe of fresh").click()
    page.wait_for_function("() => document.getElementById('recipe-text').value.includes('seed: 21')")
    page.wait_for_url("**/#recipes/fresh")
    assert not (site.tree.inbox / "fresh").exists()


def test_a_dropped_sidecar_dreams_another_picture_by_its_recipe(site: Site, visit: Visit) -> None:
    page = visit(site)
    result = made_by_dreamd(site, page, "other")
    sidecar = result.with_name(f"{result.name}.json")
    drop_into(page, "others", sidecar.name, sidecar.read_bytes())
    page.get_by_text("other.png.json was made by dreamd").wait_for()
    expect(page.get_by_role("button", name="like any other")).to_have_count(0)
    picture = {"name": "dog.png", "mimeType": "image/png", "buffer": site.tree.picture(40, 30)}
    page.locator("#carried-files").set_input_files([picture])
    dreamed_by_it = site.tree.wait_for(lambda: list(site.tree.outbox.glob("others/*/dog.png.json")), "the dream")
    assert json.loads(dreamed_by_it[0].read_bytes())["seed"] == 21


def test_a_dropped_dream_is_dreamed_like_any_picture_where_that_is_wanted(site: Site, visit: Visit) -> None:
    page = visit(site)
    result = made_by_dreamd(site, page, "plain")
    drop_into(page, "plainly", "found.png", result.read_bytes())
    page.get_by_role("button", name="like any other").click()
    site.tree.result("plainly/found.png")
    assert site.tree.sidecar("plainly/found.png")["seed"] == 0


def test_a_picture_that_failed_is_dreamed_again_from_attention(site: Site, visit: Visit) -> None:
    tree = site.tree
    tree.mood("unlucky", "raise")
    tree.drop("unlucky/lucky.png")
    tree.result("unlucky/lucky.png")  # or the recipe would be at fault, and not the picture
    tree.drop("unlucky/cat.png", tree.picture(UNLUCKY, 10))
    tree.failure("unlucky/cat.png")
    tree.drop("broken.png", b"no picture")
    tree.failure("broken.png")
    page = visit(site, "#attention", viewport={"width": 390, "height": 844})
    broken = page.locator("article", has_text="Pictures that cannot be dreamed")
    broken.get_by_role("button", name="Dismiss: ").wait_for()
    expect(broken.get_by_role("link")).to_have_count(0)
    failure = page.locator("article", has_text="unlucky/cat.png")
    failure.locator("summary").click()
    failure.get_by_role("listitem").get_by_role("link", name="Dream it again: unlucky/cat.png").wait_for()
    page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")
    assert faults(page) == []
    failure.get_by_role("link", name="Dream it again: unlucky/cat.png").first.click()
    page.get_by_role("heading", name="Dream cat.png again").wait_for()
    page.get_by_text("It failed, so there is no dream of it.").wait_for()
    page.get_by_role("link", name="Back to Attention").wait_for()
    choose(page, "calm")
    page.get_by_role("button", name="Dream 1 picture").click()
    wait_until_seen(page, 2)
    expect(page.locator("#panes figcaption b")).to_have_text(["the original", "calm"])
    assert (tree.failed / "unlucky" / "cat.png").exists()
