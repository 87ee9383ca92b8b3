"""The page on a phone: one line of navigation at the thumb, pictures from files and from the camera, and installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urljoin
from urllib.request import urlopen

from playwright.sync_api import expect

from tests.browser_site import MARKS, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

    Visit = Callable[..., Page]

pytestmark = MARKS

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

SLOTS = """() => [...document.querySelectorAll(".views > *")].map((slot) => {
    const box = slot.getBoundingClientRect();
    return {name: slot.innerText.trim(), left: box.left, right: box.right, top: box.top, bottom: box.bottom};
})"""
"""Where each place of the navigation is, in the order in which they are read."""

END_IS_SEEN = """() => {
    scrollTo(0, document.body.scrollHeight);
    const end = document.querySelector("footer").getBoundingClientRect();
    const navigation = document.querySelector(".views").getBoundingClientRect();
    return scrollY > 0 && end.bottom <= navigation.top;
}"""
"""Whether the last line of a page that is longer than the screen ends above the navigation, once one scrolls to it."""

WIDTH = """(url) => new Promise((done, fail) => {
    const picture = new Image();
    picture.onload = () => done(picture.naturalWidth);
    picture.onerror = fail;
    picture.src = url;
})"""
"""The width of a picture at an address, in pixels."""


def test_a_phone_has_one_line_of_navigation_at_its_lower_edge(site: Site, visit: Visit) -> None:
    page = visit(site, **PHONE)
    page.locator(".state.is-running").wait_for()
    page.wait_for_function("() => document.querySelector('header').getBoundingClientRect().height < 70")
    slots = sorted(page.evaluate(SLOTS), key=lambda slot: slot["left"])
    assert [slot["name"] for slot in slots] == ["Now", "Gallery", "Add pictures", "Recipes", "Attention"]
    assert all(one["right"] <= other["left"] for one, other in pairwise(slots))
    assert all(slot["bottom"] - slot["top"] >= 44 for slot in slots)  # what a thumb hits, in CSS pixels
    assert min(slot["top"] for slot in slots) > 844 - 70


def test_what_is_last_on_a_page_is_not_below_the_navigation(site: Site, visit: Visit) -> None:
    page = visit(site, "#recipes", **PHONE)
    page.locator(".state.is-running").wait_for()
    page.wait_for_function(END_IS_SEEN)


def test_pictures_are_added_from_any_view_and_go_to_the_folder_that_stands_there(site: Site, visit: Visit) -> None:
    page = visit(site, **PHONE)
    page.get_by_label("Folder", exact=True).first.fill("beach")
    page.evaluate("location.hash = '#recipes'")
    page.locator("#view-recipes").wait_for()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add pictures").click()
    chooser.value.set_files({"name": "wave.png", "mimeType": "image/png", "buffer": site.tree.picture()})
    assert site.tree.result("beach/wave.png").is_file()
    page.locator("#view-now").wait_for()


def test_the_camera_is_offered_where_there_is_a_finger_and_not_where_there_is_a_mouse(site: Site, visit: Visit) -> None:
    phone, desktop = visit(site, **PHONE), visit(site)
    expect(phone.locator("label.camera")).to_be_visible()
    expect(phone.locator("#drop-camera")).to_have_attribute("capture", "environment")
    expect(desktop.locator("label.camera")).to_be_hidden()


def test_the_page_can_be_installed(site: Site, visit: Visit) -> None:
    page = visit(site)
    address = page.evaluate("document.querySelector('link[rel=manifest]').href")
    with urlopen(address, timeout=30) as answer:
        assert answer.headers["Content-Type"] == "application/manifest+json"
        manifest = json.load(answer)
    assert urljoin(address, manifest["start_url"]) == f"{site.url}#now"
    assert urljoin(address, manifest["scope"]) == site.url
    for icon in manifest["icons"]:
        width = page.evaluate(WIDTH, urljoin(address, icon["src"]))
        assert icon["sizes"] in ("any", f"{width}x{width}")
