"""What a person does in a moment is done in its order, to what it was done to, in a real Chromium.

A slider says where it was moved once it rests, and each change goes to dreamd and back; all that is done here is done
before either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.browser_site import MARKS, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

    Visit = Callable[..., Page]

pytestmark = MARKS

TEXT = "ascent: {iterations: 2, lr: 0.05}   # slow\nseed: 3\n"
ITERATIONS = "[data-path='ascent.iterations'] [type=range]"
IS = "(text) => document.getElementById('recipe-text').value === text"

AT_ONCE = """(deeds) => {
    for (const [selector, value] of deeds) {
        const element = document.querySelector(selector);
        if (value === null) {
            element.click();
            continue;
        }
        element.value = value;
        element.dispatchEvent(new Event(element.type === "range" ? "input" : "change", {bubbles: true}));
    }
}"""
"""Clicks (null) and values, each with the element that it is for, one right after another."""


def opened(site: Site, visit: Visit, folder: str, text: str = TEXT, **options: Any) -> Page:
    """The page of a folder's recipe, with its controls."""
    site.tree.recipe(folder, text)
    page = visit(site, f"#recipes/{folder}", **options)
    page.locator("[data-path=seed]").wait_for()
    return page


def with_another_seed(page: Page) -> str:
    """Change the seed, and return the text with it."""
    page.evaluate(AT_ONCE, [["[data-path=seed] [type=number]", "5"]])
    text = TEXT.replace("seed: 3", "seed: 5")
    page.wait_for_function(IS, arg=text)
    page.locator("#recipe-undo:enabled").wait_for()
    return text


def test_a_part_that_was_changed_and_moved_at_once_takes_its_change_along(site: Site, visit: Visit) -> None:
    parts = [
        "  - {ascent: {iterations: 2}}   # mine\n",
        "  - {ascent: {iterations: 3}}\n",
        "  - {ascent: {iterations: 4}}\n",
    ]
    page = opened(site, visit, "moved-at-once", f"sequence:\n{''.join(parts)}")
    page.get_by_role("button", name="Part 1 ascent").click()
    page.locator("[data-path='sequence[0].ascent.iterations'] [type=range]").wait_for()
    down = "[aria-label='Move down part 1']"
    slider = "[data-path='sequence[0].ascent.iterations'] [type=range]"
    page.evaluate(AT_ONCE, [[slider, "9"], [down, None], [down, None]])
    mine = parts[0].replace("2", "9")
    page.wait_for_function(IS, arg=f"sequence:\n{parts[1]}{parts[2]}{mine}")
    page.get_by_role("button", name="Part 3 ascent iterations 9", expanded=True).wait_for()


def test_steps_and_layers_that_are_changed_at_once_keep_every_change(site: Site, visit: Visit) -> None:
    text = "layers: [relu1, conv2]\ngradient:\n  - smooth   # soft\n  - clip\n"
    page = opened(site, visit, "rewritten-at-once", text)
    gradient = "[data-path=gradient]"
    sigma = page.locator(gradient).get_by_label("Sigma", exact=True)
    sigma.wait_for(state="attached")
    page.evaluate(AT_ONCE, [
        [f"#{sigma.get_attribute('id')}", "2"],
        [f"{gradient} [aria-label='Move down smooth']", None],
        [f"{gradient} [aria-label='Take out clip']", None],
        ["[aria-label='Weight of relu1']", "2"],
        ["[aria-label='Take out conv2']", None],
    ])  # fmt: skip
    page.wait_for_function(
        IS, arg="layers: [{name: relu1, weight: 2}]\ngradient:\n  - {name: smooth, sigma: 2}   # soft\n"
    )


def test_undo_takes_back_what_a_slider_was_moved_to_just_now(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "undone-at-once")
    before = with_another_seed(page)
    with page.expect_response("**/api/recipe/change"):
        page.evaluate(AT_ONCE, [[ITERATIONS, "9"], ["#recipe-undo", None]])
    page.wait_for_function(IS, arg=before)
    page.locator("#recipe-undo:enabled").click()
    page.wait_for_function(IS, arg=TEXT)


def test_what_is_saved_and_tried_has_what_a_slider_was_moved_to_just_now(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "saved-at-once")
    before = with_another_seed(page)
    page.evaluate(AT_ONCE, [[ITERATIONS, "8"], ["#recipe-save", None]])
    page.get_by_text("Saved: saved-at-once/recipe.yaml").wait_for()
    saved = (site.tree.inbox / "saved-at-once" / "recipe.yaml").read_text()
    assert saved == before.replace("iterations: 2", "iterations: 8")
    with page.expect_request("**/api/trials") as sent:
        page.evaluate(AT_ONCE, [[ITERATIONS, "9"], ["#trial-run", None]])
    assert sent.value.post_data_json["text"] == before.replace("iterations: 2", "iterations: 9")


def test_a_slider_that_was_moved_just_before_another_folder_is_looked_at_changes_its_own(
    site: Site, visit: Visit
) -> None:
    site.tree.recipe("other-at-once", "seed: 9\n")
    page = opened(site, visit, "left-at-once")
    other = "#recipe-folders [data-folder=other-at-once]"
    page.locator(other).wait_for()
    with page.expect_response("**/api/recipe/change"):
        page.evaluate(AT_ONCE, [[ITERATIONS, "9"], [other, None]])
    page.locator("#recipe-label", has_text="other-at-once").wait_for()
    page.wait_for_function(IS, arg="seed: 9\n")
    page.locator("#recipe-folders [data-folder=left-at-once]", has_text="not saved").click()
    page.wait_for_function(IS, arg=TEXT.replace("iterations: 2", "iterations: 9"))
