"""The page in a real Chromium, beside a real daemon that dreams with a tiny network. `make browser` runs it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from dreamd.job import Job, JobState
from dreamd.tree.journal import Journal
from tests.browser_site import MARKS, TOKEN, Site, drop, drop_into, faults, seeing, seen, wait_for_picture

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree
    from playwright.sync_api import Page, Route

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]
    Visit = Callable[..., Page]

pytestmark = MARKS

SCROLL = """async () => {
    let most = 0, worst = 0, last = performance.now();
    while (!document.getElementById("gallery-more").hidden) {
        window.scrollTo(0, document.body.scrollHeight);
        await new Promise(requestAnimationFrame);
        worst = Math.max(worst, performance.now() - last);
        last = performance.now();
        most = Math.max(most, document.querySelectorAll("#gallery .tile").length);
    }
    return [document.querySelectorAll("#gallery .page").length, most, worst];
}"""
"""Scrolls to the end as fast as it goes: how many pages there are, the most tiles at once, the longest frame in ms."""


def test_a_picture_dropped_on_the_page_comes_out_and_appears_without_reloading(site: Site, visit: Visit) -> None:
    page = visit(site)
    page.evaluate("window.isSame = true")
    drop(page, "dropped.png", site.tree.picture(64, 48))
    seen(page, "dropped.png").wait_for()
    site.tree.result("dropped.png")
    wait_for_picture(seen(page, "dropped.png").locator("img"), 64)
    assert page.evaluate("window.isSame")


def test_an_upload_that_a_proxy_refuses_is_told_and_the_next_one_arrives(site: Site, visit: Visit) -> None:
    page = visit(site, quiet=True)  # the browser itself writes of answers that are refusals
    page.route(
        "**/api/upload?*name=refused.png*",
        lambda route: route.fulfill(status=413, content_type="text/html", body="<h1>Too Large</h1>"),
    )
    drop(page, "refused.png", site.tree.picture())
    drop(page, "accepted.png", site.tree.picture())
    page.get_by_role("alert").get_by_text("dreamd answered 413").wait_for()
    seen(page, "accepted.png").wait_for()


def test_an_upload_without_a_session_leads_to_the_sign_in(site: Site, visit: Visit) -> None:
    page = visit(site, quiet=True)
    page.route("**/api/upload?*", lambda route: route.fulfill(status=401, content_type="text/plain", body="no\n"))
    drop(page, "unsigned.png", site.tree.picture())
    page.wait_for_url(f"{site.url}login#now")


def test_two_browsers_see_the_same_and_files_are_chosen_for_a_folder(site: Site, visit: Visit, tmp_path: Path) -> None:
    first, second = visit(site), visit(site, "#gallery")
    file = tmp_path / "chosen.png"
    file.write_bytes(site.tree.picture())
    first.get_by_label("Folder").first.fill("fresh/new")
    first.locator("#drop-files").set_input_files(file)
    seen(first, "chosen.png").wait_for()
    seen(second, "chosen.png").wait_for()
    assert (site.tree.outbox / "fresh" / "new" / "chosen.png").exists()


def test_a_dream_is_watched_while_it_goes_on(site: Site, visit: Visit) -> None:
    gate = site.tree.mood("watched", "wait")
    page = visit(site)
    site.tree.drop("watched/slow.png", site.tree.picture(13, 13))
    card = page.locator(".dreaming-card:has-text('slow.png')")
    try:
        see_it_go_on(page, card)
    finally:
        gate.touch()  # or the worker would wait for ever, and every other test with it
    page.get_by_text("waiting for pictures").wait_for()
    card.wait_for(state="detached")


def see_it_go_on(page: Page, card: Any) -> None:
    card.wait_for()
    expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "0")
    page.get_by_text("dreaming 1 picture").wait_for()
    wait_for_picture(card.locator("img"), 13)


def test_the_daemon_is_started_again_under_an_open_page(site: Site, visit: Visit) -> None:
    page = visit(site, quiet=True)  # the browser itself writes of connections that are refused
    page.get_by_text("waiting for pictures").wait_for()
    site.stop()
    page.get_by_text("not connected").wait_for()
    page.locator("#running").get_by_text("Not known while dreamd does not answer.").wait_for()
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(page.get_by_role("button", name="Resume").or_(page.get_by_role("button", name="Pause"))).to_have_count(0)
    site.start()
    page.get_by_text("waiting for pictures").wait_for()
    drop(page, "again.png", site.tree.picture())
    seen(page, "again.png").wait_for()


def test_what_is_left_in_the_inbox_is_told_with_its_reason(site: Site, visit: Visit) -> None:
    page = visit(site)
    link = site.tree.inbox / "link.png"
    link.symlink_to(site.tree.config)
    try:
        page.get_by_role("link", name="Attention 1").click()
        page.locator("#attention article", has_text="links are not followed").get_by_text("1 file in inbox").wait_for()
    finally:
        link.unlink()
    page.get_by_text("All is well.").wait_for()


def troubles_with(page: Page, words: str) -> str | None:
    """What dreamd answers to the question for troubles, once that has these words."""
    found = page.request.get(f"{page.url.partition('#')[0]}api/attention").text()
    return found if words in found else None


def test_an_answer_that_a_later_one_has_overtaken_is_not_shown(site: Site, visit: Visit) -> None:
    page = visit(site, "#attention")
    page.get_by_text("waiting for pictures").wait_for()
    page.get_by_text("All is well.").wait_for()
    late: list[Route] = []
    page.route("**/api/attention", lambda route: route.continue_() if late else late.append(route))
    link = site.tree.inbox / "link.png"
    with page.expect_request("**/api/attention"):
        link.symlink_to(site.tree.config)
    before = site.tree.wait_for(lambda: troubles_with(page, "links are not followed"), "what is left to be told")
    with page.expect_response("**/api/attention"):
        link.unlink()
    with page.expect_response("**/api/attention"):
        late[0].fulfill(body=before, content_type="application/json")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(page.locator("#attention")).to_have_text("All is well.")


def test_the_whole_page_works_below_a_path(tmp_path: Path, make: Make, run_daemon: Run, visit: Visit) -> None:
    site = Site(make(tmp_path / "tree"), run_daemon, base_path="/nas/dreams", token=TOKEN)
    page = visit(site)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("waiting for pictures").wait_for()
    page.wait_for_url(site.url)
    drop(page, "below.png", site.tree.picture(64, 48))
    wait_for_picture(seen(page, "below.png").locator("img"), 64)
    seen(page, "below.png").locator("a").click()
    page.get_by_role("dialog").get_by_text("seed").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Recipes").click()
    page.get_by_text("own recipe").first.wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").wait_for()
    page.wait_for_url(f"{site.url}login")


def test_a_failure_is_seen_with_its_reason_and_retried(site: Site, visit: Visit) -> None:
    page = visit(site)
    site.tree.mood("sour", "orphan")
    drop_into(page, "sour", "ends.png", site.tree.picture(13))
    page.get_by_role("link", name="Attention 1").click()
    entry = page.locator("#attention article", has_text="Their worker was ended")
    entry.get_by_text("the worker ended with code 7").first.wait_for()
    site.tree.mood("sour", "calm")
    entry.get_by_role("button", name="Retry: ").click()
    page.get_by_text("sour/ends.png: back in the inbox").wait_for()
    page.get_by_text("All is well.").wait_for()
    site.tree.result("sour/ends.png")


def test_pausing_keeps_pictures_waiting(site: Site, visit: Visit) -> None:
    page = visit(site)
    page.get_by_role("button", name="Pause", exact=True).first.click()
    page.locator("#state", has_text="paused").wait_for()
    drop(page, "patient.png", site.tree.picture())
    drop_into(page, "below/it", "patient too.png", site.tree.picture())
    page.locator("#queue li", has_text="everything").get_by_text("2 pictures").wait_for()
    page.locator("#queue li", has_text="below/it").get_by_text("paused").wait_for()
    page.get_by_role("button", name="Resume", exact=True).first.click()
    seen(page, "patient.png").wait_for()


def test_a_recipe_is_judged_while_it_is_written_and_counts_once_it_is_saved(site: Site, visit: Visit) -> None:
    site.tree.recipe("written", "seed: 1\n")
    page = visit(site, "#recipes/written")
    text = page.locator("#recipe-text")
    page.wait_for_function("() => document.getElementById('recipe-text').value === 'seed: 1\\n'")
    page.get_by_text("What it comes to").click()
    page.get_by_role("row", name="seed 1 written/recipe.yaml:1").wait_for()
    text.fill("seed: 2\nsed: 3\n")
    page.locator(
        "#recipe-verdict", has_text="written/recipe.yaml:2: sed: is not a field; did you mean seed?"
    ).wait_for()
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    text.fill("seed: 2\n")
    page.get_by_text("This is right.").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved: written/recipe.yaml").wait_for()
    site.tree.drop("written/a.png")
    site.tree.result("written/a.png")
    assert site.tree.sidecar("written/a.png")["recipe"]["seed"] == 2


def test_a_results_recipe_is_used_for_another_folder(site: Site, visit: Visit) -> None:
    site.tree.recipe("source", "seed: 77\n")
    site.tree.drop("source/a.png")
    site.tree.result("source/a.png")
    page = visit(site, "#gallery")
    page.locator("#gallery .tile", has_text="source").first.click()
    page.get_by_label("Use this recipe for").fill("target")
    page.get_by_role("button", name="Edit there").click()
    page.get_by_text("This is right.").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved: target/recipe.yaml").wait_for()
    assert "seed: 77" in (site.tree.inbox / "target" / "recipe.yaml").read_text()


def test_a_dream_from_nothing_says_so_and_links_to_its_film_strip(site: Site, visit: Visit) -> None:
    page = visit(site)
    drop(page, "clouds.dream.yaml", b"image: {size: 20x20}\noutput: {steps: true}\n")
    site.tree.result("clouds.png")
    page.get_by_role("link", name="Gallery").click()
    page.locator("#gallery .tile a", has_text="clouds").first.click()
    page.get_by_text("it was made from noise, so there is no original").wait_for()
    expect(page.locator("#compare-before")).not_to_have_attribute("src", re.compile(""))
    strip = page.get_by_role("link", name="How it came about, step by step")
    strip.wait_for()
    answer = page.request.get(f"{page.url.partition('#')[0]}{strip.get_attribute('href')}")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")


# Places and names

ODD_FOLDERS = ("50% off", "a#b", "what?", "ünï", "a&b=c", "100%", "a+b", "%41", 'q?folder=x/in\'ner "quoted"')


def test_folders_of_any_name_are_dropped_into_looked_at_and_given_a_recipe(site: Site, visit: Visit) -> None:
    page = visit(site)
    for folder in ODD_FOLDERS:
        page.evaluate("location.hash = '#now'")
        drop_into(page, folder, "odd.png", site.tree.picture())
        site.tree.result(f"{folder}/odd.png")
        page.get_by_role("link", name="Recipes").click()
        page.locator("#recipe-folders a").get_by_text(folder, exact=True).click()
        page.locator("#recipe-label").get_by_text(f"{folder}/recipe.yaml", exact=True).wait_for()
        page.locator("#recipe-text").fill("seed: 3\n")
        page.get_by_role("button", name="Save").click()
        page.get_by_text(f"Saved: {folder}/recipe.yaml").first.wait_for()
        page.reload()
        page.locator("#recipe-label").get_by_text(f"{folder}/recipe.yaml", exact=True).wait_for()
        page.get_by_role("link", name="Gallery").click()
        page.locator("#gallery-folder").select_option(folder)
        seeing(page, "odd.png")
        page.locator("#gallery .tile a").click()
        page.get_by_role("dialog").get_by_text("odd.png").first.wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="hidden")


def test_a_worker_tells_what_it_has_of_the_machine(site: Site, visit: Visit) -> None:
    site.daemon.worker()
    page = visit(site)
    worker = page.locator("#workers li")
    worker.get_by_text(re.compile(r"(fp32|bf16) · \d+ threads? on processors? [\d,-]+ · .+ of .+B")).wait_for()


def test_the_recipe_of_the_chosen_folder_is_named_before_the_drop(site: Site, visit: Visit) -> None:
    site.tree.drop("first.png")
    site.tree.result("first.png")  # a worker has told what there is
    site.tree.recipe("named", "extends: weave\nbackbone: {name: tiny, weights: random}\nlayers: [relu1, conv2]\n")
    site.tree.recipe("wrong", "sed: 1\n")
    page = visit(site)
    words = page.locator("#drop-recipe")
    words.get_by_text("inbox: network tiny").wait_for()
    page.locator("#drop-folder").fill("named")
    words.get_by_text("named: network tiny, at relu1, conv2").wait_for()
    catalogue = site.tree.state / "catalogue.json"
    known = catalogue.read_bytes()
    catalogue.unlink()  # it lacks the preset's network, which these tests do without
    page.locator("#drop-folder").fill("weave")
    words.get_by_text("weave: preset weave, network efficientnet_lite0, at blocks").wait_for()
    catalogue.write_bytes(known)
    page.locator("#drop-folder").fill("wrong")
    words.get_by_text("wrong: its recipe is wrong, and holds what is dropped").wait_for()
    words.get_by_role("link", name="Recipe").click()
    page.locator("#recipe-verdict", has_text="is not a field").wait_for()


def test_a_folder_whose_name_is_typed_into_the_address_is_shown(site: Site, visit: Visit) -> None:
    (site.tree.inbox / "50% off").mkdir(exist_ok=True)
    page = visit(site, "#recipes/50% off")
    page.locator("#recipe-label").get_by_text("50% off/recipe.yaml", exact=True).wait_for()


@pytest.fixture(scope="module")
def dreamed(site: Site) -> Site:
    """A site with results in a folder and in those below it, the newest last."""
    for name in ("trip/one.png", "trip/day/two.png", "trip/day/three.png", "triplet/four.png"):
        site.tree.drop(name, site.tree.picture(24, 18))
        site.tree.result(name)
    return site


def test_back_leads_to_where_a_result_was_opened_and_never_into_it_again(dreamed: Site, visit: Visit) -> None:
    page = visit(dreamed)
    page.get_by_role("link", name="Gallery").click()
    dialog = page.get_by_role("dialog")
    for close in (
        lambda: page.keyboard.press("Escape"),
        lambda: page.get_by_role("button", name="Close").click(),
        page.go_back,
    ):
        page.locator("#gallery .tile a").first.click()
        dialog.wait_for()
        page.get_by_role("button", name="Next result").click()
        page.wait_for_function("() => !document.getElementById('viewer-previous').disabled")
        close()
        dialog.wait_for(state="hidden")
        page.wait_for_url("**/#gallery")
    page.go_back()
    page.locator("#view-now").wait_for()
    expect(dialog).to_be_hidden()


def test_a_link_into_a_folder_or_a_search_shows_it_and_leads_on_in_it(dreamed: Site, visit: Visit) -> None:
    page = visit(dreamed, "#gallery?folder=trip")
    seeing(page, "three.png", "two.png", "one.png")
    page.locator("#gallery-folder").select_option("trip/day")
    seeing(page, "three.png", "two.png")
    page.locator("#gallery-search").fill("TWO")
    seeing(page, "two.png")
    page.wait_for_function("() => location.hash === '#gallery?folder=trip%2Fday&search=TWO'")
    page.reload()
    seeing(page, "two.png")
    expect(page.locator("#gallery-search")).to_have_value("TWO")
    page.go_back()
    seeing(page, "three.png", "two.png", "one.png")
    page.locator("#gallery .tile a", has_text="one.png").click()
    page.get_by_role("dialog").get_by_text("trip/one.png").first.wait_for()
    follow_link(visit(dreamed, page.url.removeprefix(dreamed.url)))


def follow_link(page: Page) -> None:
    """Go on from the oldest result of a folder, which a link led to."""
    title = page.get_by_role("dialog").locator("#viewer-title")
    for name, button in (("one.png", "Previous"), ("two.png", "Previous"), ("three.png", "Next"), ("two.png", "Next")):
        title.get_by_text(name).wait_for()
        page.get_by_role("button", name=f"{button} result").click()
    title.get_by_text("one.png").wait_for()
    expect(page.get_by_role("button", name="Next result")).to_be_disabled()
    page.keyboard.press("Escape")
    seeing(page, "three.png", "two.png", "one.png")


def test_a_link_survives_the_sign_in(tmp_path: Path, make: Make, run_daemon: Run, visit: Visit) -> None:
    tree = make(tmp_path / "tree")
    site = Site(tree, run_daemon, token=TOKEN)
    tree.drop("a b/cat.png", tree.picture())
    tree.result("a b/cat.png")
    page = visit(site, "#gallery?folder=a%20b", quiet=True)
    page.get_by_label("Token").fill("wrong-horse-battery")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("That is not the token.").wait_for()
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    seeing(page, "cat.png")
    page.locator("#gallery .tile a").click()
    page.get_by_role("dialog").wait_for()
    place = page.url
    page.goto("about:blank")  # or the page itself would notice, and go to the sign-in meanwhile
    page.context.clear_cookies()
    page.goto(place)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("dialog").wait_for()
    page.wait_for_url(place)


def look_at_recipe(page: Page, folder: str, text: str) -> None:
    """Go to a folder's recipe, and wait until the editor has this text."""
    page.locator("#recipe-folders a").get_by_text(folder, exact=True).click()
    page.locator("#recipe-label", has_text=f"{folder}/recipe.yaml").wait_for()
    page.wait_for_function("(text) => document.getElementById('recipe-text').value === text", arg=text)


def test_what_is_written_stays_when_another_folder_is_looked_at(site: Site, visit: Visit) -> None:
    site.tree.recipe("left", "seed: 1\n")
    site.tree.recipe("right", "seed: 2\n")
    page = visit(site, "#recipes/left")
    text = page.locator("#recipe-text")
    look_at_recipe(page, "left", "seed: 1\n")
    text.fill("seed: 11\n")
    look_at_recipe(page, "right", "seed: 2\n")
    page.locator("#recipe-folders a", has_text="left").get_by_text("not saved").wait_for()
    text.fill("seed: 22\n")
    page.get_by_role("link", name="Now").click()
    page.get_by_role("link", name="Recipes").click()
    look_at_recipe(page, "left", "seed: 11\n")
    page.get_by_text("This is right.").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved: left/recipe.yaml").wait_for()
    assert (site.tree.inbox / "left" / "recipe.yaml").read_text() == "seed: 11\n"
    look_at_recipe(page, "right", "seed: 22\n")
    page.get_by_role("button", name="Revert").click()
    look_at_recipe(page, "right", "seed: 2\n")
    expect(page.locator("#recipe-folders").get_by_text("not saved")).to_have_count(0)


def test_results_that_were_taken_away_say_so(site: Site, visit: Visit) -> None:
    for name in ("whole.png", "bare.png"):
        site.tree.drop(f"taken/{name}", site.tree.picture(30, 20))
        site.tree.result(f"taken/{name}")
    outbox = site.tree.outbox / "taken"
    for file in (*outbox.glob("whole*"), outbox / "bare.png"):
        file.unlink()
    page = visit(site, "#gallery?folder=taken", quiet=True)  # the browser writes of pictures that are not there
    seeing(page, "bare.png", "whole.png")
    page.locator("#gallery .blank").get_by_text("no longer in the outbox").first.wait_for()
    page.locator("#gallery .tile a", has_text="whole.png").click()
    page.get_by_text("The result was moved or deleted out of the outbox, and with it").wait_for()
    expect(page.get_by_role("link", name="Open at full size")).to_be_hidden()
    page.get_by_role("button", name="Previous result").click()
    page.get_by_text("This is its original.").wait_for()
    page.wait_for_function("() => document.getElementById('compare-before').naturalWidth === 30")


def test_everything_can_be_done_by_keyboard(site: Site, visit: Visit) -> None:
    site.tree.drop("keys/a.png", site.tree.picture(40, 30))
    site.tree.result("keys/a.png")
    page = visit(site, "#gallery")
    tile = page.locator("#gallery .tile a", has_text="keys").first
    tile.focus()
    page.keyboard.press("Enter")
    slider = page.get_by_role("slider")
    slider.wait_for()
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("55")
    expect(page.locator("#compare")).to_have_attribute("style", re.compile(r"--split: 55\b"))
    page.wait_for_function("() => document.getElementById('compare-before').naturalWidth === 40")
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.activeElement?.dataset.key !== undefined")
    expect(page.locator(":focus")).to_contain_text("keys")


def test_a_name_is_text_and_never_markup(site: Site, visit: Visit) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    page = visit(site)
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    drop(page, name, site.tree.picture())
    seen(page, name).wait_for()
    drop(page, "<b>broken.png", b"no picture")
    page.get_by_role("link", name="Attention").click()
    page.locator("#attention article", has_text="<b>broken.png").wait_for()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Site:
    """A site with 10,000 results, of which the newest ones have pictures."""
    tree = make(tmp_path_factory.mktemp("full") / "tree")
    tree.echo()
    tree.state.mkdir()
    data = tree.picture(64, 48)
    now = time.time()
    jobs = []
    for number in range(10_000):
        folder = PurePosixPath(f"folder{number % 7}")
        result = folder / f"picture{number}.png"
        jobs.append(Job(id=f"{number:013}", folder=folder, name=result.name, state=JobState.DONE, seconds=1.5,
                        claimed_at=now, finished_at=now - 10_000 + number, result=str(result)))  # fmt: skip
        if number > 9_900:
            (tree.outbox / folder).mkdir(parents=True, exist_ok=True)
            (tree.outbox / result).write_bytes(data)
    with Journal.open(tree.state / "journal.sqlite3") as journal:
        journal.save(jobs)
    return Site(tree, started)


def test_ten_thousand_results_are_scrolled_to_the_end_with_few_of_them_in_the_page(full: Site, visit: Visit) -> None:
    page = visit(full, "#gallery", quiet=True)  # for most there is no picture, which the browser writes of
    seen(page, "picture9999.png").wait_for()
    pages, most, worst = page.evaluate(SCROLL)
    assert pages == 84  # of 120 each
    assert most <= 600
    assert worst < 3_000  # no frame hangs; a busy machine's are long enough
    seen(page, "picture0.png").wait_for()
    page.evaluate("window.scrollTo(0, 0)")
    seen(page, "picture9999.png").wait_for()


def test_a_phone_has_nothing_to_the_side(full: Site, visit: Visit) -> None:
    page = visit(full, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, quiet=True)
    for view in ("now", "gallery", "attention", "recipes"):
        page.evaluate(f"location.hash = '#{view}'")
        page.locator(f"#view-{view}").wait_for()
        page.wait_for_function("() => document.documentElement.scrollWidth <= 360")


def test_the_token_is_asked_for_and_opens_the_page(tmp_path: Path, make: Make, run_daemon: Run, visit: Visit) -> None:
    tree = make(tmp_path / "tree")
    tree.echo()
    page = visit(Site(tree, run_daemon, token=TOKEN), quiet=True)  # a wrong token's 401 is written of
    page.get_by_label("Token").fill("wrong-horse-battery")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("That is not the token.").wait_for()
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("waiting for pictures").wait_for()
    assert TOKEN not in page.url
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").wait_for()


# Accessibility


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Site:
    """A site on which there is something of everything to see."""
    tree = make(tmp_path_factory.mktemp("troubled") / "tree")
    tree.echo()
    site = Site(tree, started)
    (tree.root / "gate").unlink(missing_ok=True)
    tree.recipe("lost", "seed: 5\n")  # what waits for weights keeps all of its recipe waiting
    for path in ("sea/done.png", "sea/broken.png", "lost/weightless.png"):
        tree.drop(path)
    tree.result("sea/done.png")
    tree.failure("sea/broken.png")
    tree.recipe("typo", "sed: 1\n")
    tree.drop("typo/a.png")
    tree.hold("typo")
    return site


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_no_fault(troubled: Site, visit: Visit, scheme: str, width: int) -> None:
    page = visit(troubled, viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce",
                 bypass_csp=True, quiet=True)  # fmt: skip
    page.locator("#latest .tile").first.wait_for()
    found = {"now": faults(page)}
    for view, sign in (("gallery", ".tile"), ("attention", "summary"), ("recipes", "nav a")):
        page.evaluate(f"location.hash = '#{view}'")
        page.locator(f"#view-{view} {sign}").first.wait_for()
        found[view] = faults(page)
    page.evaluate("location.hash = '#recipes/typo'")
    page.locator("#recipe-verdict", has_text="is not a field").wait_for()
    found["wrong recipe"] = faults(page)
    page.evaluate("location.hash = '#gallery'")
    page.locator("#gallery .tile a").first.click()
    page.get_by_role("dialog").wait_for()
    found["viewer"] = faults(page)
    assert {view: each for view, each in found.items() if each} == {}


def test_axe_finds_no_fault_in_the_sign_in(tmp_path: Path, make: Make, run_daemon: Run, visit: Visit) -> None:
    tree = make(tmp_path / "tree")
    tree.echo()
    page = visit(Site(tree, run_daemon, token=TOKEN), bypass_csp=True)
    page.get_by_label("Token").wait_for()
    assert faults(page) == []
