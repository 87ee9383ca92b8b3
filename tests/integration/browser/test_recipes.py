"""Recipes without YAML, in a real Chromium: cards, controls, the text beside them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser_site import MARKS, Site, faults, wait_for_picture

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    Visit = Callable[..., Page]

pytestmark = MARKS

TEXT = "# mine\nextends: classic   # for now\nascent: {iterations: 2, lr: 0.05}   # slow\n"
DROP_ON_TRIAL = """(data) => {
    const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], "mine.png", {type: "image/png"}));
    for (const event of ["dragenter", "dragover", "drop"])
        document.getElementById("trial").dispatchEvent(
            new DragEvent(event, {dataTransfer: carried, bubbles: true, cancelable: true}));
}"""
"""What a browser does when a person lets go of a file over the place for trials."""

IS = "(text) => document.getElementById('recipe-text').value === text"


def opened(site: Site, visit: Visit, folder: str, text: str = TEXT, **options: Any) -> Page:
    """The page of a folder's recipe, with its controls."""
    site.tree.recipe(folder, text)
    page = visit(site, f"#recipes/{folder}", **options)
    control(page, "seed").wait_for()
    return page


def control(page: Page, path: str) -> Locator:
    return page.locator(f"[data-path='{path}']")


def test_a_control_changes_its_own_line_and_comments_stay(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "controls")
    box = control(page, "ascent.iterations").get_by_role("spinbutton")
    box.fill("7")
    box.press("Enter")
    page.wait_for_function(IS, arg=TEXT.replace("iterations: 2", "iterations: 7"))
    slider = control(page, "ascent.iterations").get_by_role("slider")
    expect(slider).to_have_value("7")
    slider.press("ArrowRight")
    page.wait_for_function(IS, arg=TEXT.replace("iterations: 2", "iterations: 8"))
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved: controls/recipe.yaml").wait_for()
    assert (site.tree.inbox / "controls" / "recipe.yaml").read_text() == TEXT.replace("iterations: 2", "iterations: 8")


def test_a_written_text_moves_the_controls(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "written-here")
    page.locator("#recipe-text").fill("ascent: {lr: 0.25}\noutput: {format: png, embed: true}\n")
    page.wait_for_function("() => document.querySelector('[data-path=\"ascent.lr\"] [type=number]').value === '0.25'")
    expect(control(page, "output.format").get_by_role("combobox")).to_have_value("png")
    page.get_by_text("More settings").click()
    expect(control(page, "output.embed").get_by_role("switch")).to_be_checked()


def test_what_is_set_here_goes_back_to_what_is_inherited(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "back")
    row = control(page, "ascent.lr")
    row.get_by_text("set here").wait_for()
    row.get_by_role("button", name="back to 0.05").click()
    page.wait_for_function(IS, arg=TEXT.replace(", lr: 0.05", ""))
    row.get_by_text("from preset classic").wait_for()


def test_a_card_is_what_the_recipe_extends_and_undo_takes_it_back(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "cards")
    expect(page.get_by_role("radio", name="classic")).to_be_checked()
    page.get_by_text("ascent.iterations, ascent.lr go over classic here.").wait_for()
    page.get_by_role("radio", name="none").check(force=True)
    page.wait_for_function(IS, arg=TEXT.replace("extends: classic   # for now", "# for now"))
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(IS, arg=TEXT)
    page.wait_for_function("() => document.querySelector('input[name=preset]:checked').value === 'classic'")
    page.get_by_role("button", name="Take classic as it is").click()
    page.wait_for_function(IS, arg="# mine\nextends: classic   # for now\n# slow\n")


def test_a_wrong_text_closes_the_controls_with_the_reason_until_it_is_right(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "closed")
    text = page.locator("#recipe-text")
    text.fill("seed: [")
    page.locator("#recipe-closed", has_text="is not YAML").wait_for()
    expect(control(page, "seed").get_by_role("spinbutton")).to_be_disabled()
    expect(page.get_by_role("radio", name="classic")).to_be_disabled()
    expect(text).to_have_value("seed: [")
    text.fill("seed: 5")
    page.wait_for_function("() => document.querySelector('[data-path=seed] [type=number]').value === '5'")
    expect(control(page, "seed").get_by_role("spinbutton")).to_be_enabled()


def test_steps_are_added_moved_and_given_values(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "steps", "gradient:\n  - smooth   # soft\n")
    page.get_by_text("More settings").click()
    row = control(page, "gradient")
    row.get_by_label("What is added to gradient").select_option("clip")
    row.get_by_role("button", name="Add to gradient").click()
    page.wait_for_function(IS, arg="gradient:\n  - smooth   # soft\n  - clip\n")
    sigma = row.get_by_label("Sigma", exact=True)
    sigma.fill("2")
    sigma.press("Enter")
    page.wait_for_function(IS, arg="gradient:\n  - {name: smooth, sigma: 2}   # soft\n  - clip\n")
    row.get_by_role("button", name="Take out clip").click()
    page.wait_for_function(IS, arg="gradient:\n  - {name: smooth, sigma: 2}   # soft\n")


SEQUENCE = "sequence:\n  - classic   # first\n  # about the second\n  - {extends: classic, ascent: {lr: 0.05}}\n"
PRESETS = ("animals", "classic")


def test_parts_of_a_sequence_are_moved_changed_added_and_taken_out(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "parts", SEQUENCE)
    parts = control(page, "sequence")
    parts.get_by_role("button", name="Move down part 1").press("Enter")
    moved = "sequence:\n  # about the second\n  - {extends: classic, ascent: {lr: 0.05}}\n  - classic   # first\n"
    page.wait_for_function(IS, arg=moved)
    parts.get_by_role("button", name="Move up part 2").and_(page.locator(":focus")).wait_for()
    parts.get_by_role("button", name="Part 2 classic").press("Enter")
    box = control(page, "sequence[1].ascent.iterations").get_by_role("spinbutton")
    box.fill("7")
    box.press("Enter")
    changed = moved.replace("- classic ", "- {extends: classic, ascent: {iterations: 7}} ")
    page.wait_for_function(IS, arg=changed)
    parts.get_by_label("What the new part begins with").select_option("classic")
    parts.get_by_role("button", name="Add a part").press("Enter")
    page.wait_for_function(IS, arg=f"{changed}  - classic\n")
    parts.get_by_role("button", name="Part 3 classic", expanded=True).and_(page.locator(":focus")).wait_for()
    parts.get_by_role("button", name="Take out part 1").click()
    left = changed.replace("  - {extends: classic, ascent: {lr: 0.05}}\n", "")
    page.wait_for_function(IS, arg=f"{left}  - classic\n")
    parts.get_by_role("button", name="Part 2 classic", expanded=True).wait_for()
    parts.get_by_role("button", name="Part 1 classic", expanded=True).wait_for()


def test_stages_of_a_part_follow_the_text_and_go_back_to_what_they_inherit(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "stages-here", SEQUENCE)
    control(page, "sequence").get_by_role("button", name="Part 2 classic").click()
    stages = control(page, "sequence[1].stages")
    stages.get_by_text("no stages").wait_for()
    stages.get_by_role("button", name="Add a stage").click()
    added = SEQUENCE.replace("{lr: 0.05}}", "{lr: 0.05}, stages: [{}]}")
    page.wait_for_function(IS, arg=added)
    text = page.locator("#recipe-text")
    text.fill(added.replace("[{}]", "[{octaves: 2}, {layers: relu1}]"))
    stages.get_by_role("button", name="Stage 2 layers relu1").click()
    layers = control(page, "sequence[1].stages[1].layers")
    layers.get_by_label("Weight of relu1").wait_for()
    expect(control(page, "sequence[1].stages[0].octaves").get_by_role("spinbutton")).to_have_value("2")
    layers.get_by_role("button", name="Layers: back to").click()
    page.wait_for_function(IS, arg=added.replace("[{}]", "[{octaves: 2}, {}]"))
    layers.get_by_text("the network's own default").wait_for()


def test_a_part_that_aliases_share_is_left_to_the_text(site: Site, visit: Visit) -> None:
    shared = "stages:\n- &same {octaves: 1}\n- *same\n"
    page = opened(site, visit, "shared", f"{shared}- {{layers: relu1}}\n")
    stages = control(page, "stages")
    stages.get_by_role("button", name="Stage 2 written with YAML's & and *: change it in the text").click()
    box = control(page, "stages[1].octaves").get_by_role("spinbutton")
    expect(box).to_be_disabled()
    expect(stages.get_by_role("button", name="Take out stage 2")).to_be_disabled()
    stages.get_by_role("button", name="Take out stage 3").click()
    page.wait_for_function(IS, arg=shared)


def test_a_part_begins_with_presets_as_their_cards_say(site: Site, visit: Visit) -> None:
    cannot, needs = [{"name": name, "kind": "preset", "words": "", "sample": None, "picture": None} for name in PRESETS]
    cannot |= {"problem": "it is wrong", "networks": []}
    needs |= {"problem": None, "networks": [{"name": "vgg19", "weights": "missing"}]}
    page = visit(site)
    page.route("**/api/presets", lambda route: route.fulfill(json={"undreamed": "", "presets": [cannot, needs]}))
    site.tree.recipe("offered", SEQUENCE)
    page.goto(f"{site.url}#recipes/offered")
    control(page, "sequence").get_by_role("button", name="Part 1 classic").click()
    for choice in (page.get_by_label("What the new part begins with"),
                   control(page, "sequence[0].extends").get_by_role("combobox")):  # fmt: skip
        choice.locator("option[value=animals]:disabled", has_text="animals: it is wrong").wait_for(state="attached")
        choice.locator("option[value=classic]:enabled", has_text="classic: needs vgg19").wait_for(state="attached")
    page.locator("[data-name=animals] input:disabled").wait_for(state="attached")
    page.locator("[data-name=classic]", has_text="needs vgg19").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_no_fault_in_the_controls(site: Site, visit: Visit, scheme: str, width: int) -> None:
    page = opened(site, visit, "accessible", f"{TEXT}stages: [{{octaves: 2}}, {{layers: relu1}}]\n",
                  viewport={"width": width, "height": 800}, color_scheme=scheme,
                  reduced_motion="reduce", bypass_csp=True)  # fmt: skip
    page.get_by_text("More settings").click()
    control(page, "gradient").wait_for()
    page.get_by_role("button", name="Stage 2 layers relu1").click()
    page.get_by_text("More settings of stage 2").click()
    control(page, "stages[1].gradient").wait_for()
    assert faults(page) == []
    page.wait_for_function("(width) => document.documentElement.scrollWidth <= width", arg=width)


def test_a_recipe_is_tried_before_it_is_saved_and_again_after_a_change(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "tried")
    page.get_by_role("button", name="Try it", exact=True).click()
    page.locator("#trial-words", has_text="dreamed in").wait_for()
    after = page.locator("#trial-after img")
    first = after.get_attribute("src")
    assert first is not None
    wait_for_picture(after, 256)
    box = control(page, "ascent.lr").get_by_role("spinbutton")
    box.fill("0.2")
    box.press("Enter")
    expect(after).not_to_have_attribute("src", first)
    page.locator("#trial-words", has_text="dreamed in").wait_for()
    assert (site.tree.inbox / "tried" / "recipe.yaml").read_text() == TEXT
    assert not (site.tree.outbox / "tried").exists()


def test_a_trial_is_dreamed_on_a_dropped_picture_that_is_no_upload(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "dropped-here")
    page.evaluate(DROP_ON_TRIAL, base64.b64encode(site.tree.picture(80, 40)).decode())
    page.locator("#trial-words", has_text="dreamed in").wait_for()
    wait_for_picture(page.locator("#trial-after img"), 80)
    expect(page.locator("#trial-source")).to_have_value("data")
    expect(page.locator("#veil")).to_be_hidden()
    assert not list(site.tree.inbox.rglob("mine.png"))


def test_a_trial_begins_with_the_newest_picture_although_a_dream_from_nothing_came_later(
    site: Site, visit: Visit
) -> None:
    for name, data in (("a.png", site.tree.picture(64, 48)), ("clouds.dream.yaml", b"image: {size: 20x20}\n")):
        site.tree.drop(f"both/{name}", data)
        site.tree.result(f"both/{name.removesuffix('.dream.yaml').removesuffix('.png')}.png")
    page = opened(site, visit, "both")
    page.wait_for_function("() => document.querySelector('#trial-before img')?.naturalWidth === 64")
    expect(page.locator("#trial-source option:checked")).to_have_text("a.png, the newest here")


def test_a_trial_is_cancelled(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "cancelled", "ascent: {iterations: 10000}\n")
    page.get_by_role("button", name="Try it", exact=True).click()
    page.locator("#trial-after img").wait_for()
    page.locator("#trial").get_by_role("button", name="Cancel").click()
    page.locator("#trial-progress").wait_for(state="hidden")


def test_layers_are_chosen_from_what_each_makes(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "looking", "layers: relu1   # my own\n", bypass_csp=True, reduced_motion="reduce")
    page.get_by_role("button", name="Choose by looking").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Nobody has looked at tiny yet.").wait_for()
    dialog.get_by_role("button", name="Make it").click()
    dialog.locator(".layer-tile").nth(2).wait_for()
    expect(dialog.get_by_role("checkbox", name="relu1")).to_be_checked()
    assert faults(page) == []
    dialog.get_by_role("checkbox", name="conv2").check(force=True)
    dialog.get_by_role("button", name="Use these 2 layers").click()
    page.wait_for_function(IS, arg="layers: [relu1, conv2]   # my own\n")
    control(page, "layers").get_by_label("Weight of conv2").wait_for()


def test_weights_that_a_written_recipe_would_need_are_offered(site: Site, visit: Visit) -> None:
    page = opened(site, visit, "needs", quiet=True)
    needed = {"backbone": "tiny", "state": "missing", "done": 0, "total": 5_000_000, "bytes_per_second": None,
              "eta_seconds": None, "problem": None, "url": "https://example.invalid/tiny.pth", "sha256": "",
              "path": "/tiny.pth", "may_fetch": True}  # fmt: skip
    page.route("**/api/weights", lambda route: route.fulfill(json=[needed][: "random" not in route.request.post_data]))
    page.locator("#recipe-text").fill("backbone: {name: tiny, weights: default}\n")
    page.locator("#recipe-weights").get_by_role("button", name="Fetch tiny (5.0 MB)").wait_for()
    page.locator("#recipe-text").fill("backbone: {name: tiny, weights: random}\n")
    page.locator("#recipe-weights .fetch").wait_for(state="detached")
