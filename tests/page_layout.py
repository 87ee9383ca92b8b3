"""How the page is laid out: which part stands beside, above or in which, in words that hold for any font.

`make page-pictures` takes the pictures of docs/images/page and writes tests/reference/layouts.json; the browser tests
compare every layout with that. Pixels differ from machine to machine, and what stands above what does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

FILE = Path(__file__).parent / "reference" / "layouts.json"
"""The layouts as they were looked at and found good."""

SIZES: Mapping[str, Mapping[str, Any]] = {
    "desktop": {"viewport": {"width": 1440, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
"""The screens that the page is looked at on."""

_NEAR = 3
"""The number of parts that follow one in the page which it is compared with: those say where it stands."""

Layout = dict[str, str]
"""For each two parts that stand side by side in a third, `part | other`: how the first stands to the other."""

_PARTS = """() => {
    const named = "header, main, nav, footer, dialog, [id]";
    const isShown = (part) => {
        const box = part.getBoundingClientRect();
        const asked = {opacityProperty: true, visibilityProperty: true};
        return box.width > 1 && box.height > 1 && part.checkVisibility(asked);
    };
    const name = (part) => part.id || part.tagName.toLowerCase();
    const top = document.querySelector("dialog[open]") ?? document.body;
    const shown = [...top.querySelectorAll(named)].filter((part) => isShown(part) && !part.closest("svg, option"));
    return shown.map((part) => {
        const box = part.getBoundingClientRect();
        const around = part.parentElement.closest(named);
        return {
            name: name(part), around: around && top.contains(around) ? name(around) : "page",
            left: box.left, right: box.right, top: box.top, bottom: box.bottom,
        };
    });
}"""
"""The boxes of all parts that have a name and are seen, each with the part that it stands in."""

FAULTS = """() => {
    const faults = [];
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    if (wide > 0) faults.push(`the page is ${wide} pixels wider than the screen`);
    const top = document.querySelector("dialog[open]") ?? document.body;
    const isTouched = matchMedia("(pointer: coarse)").matches;
    for (const part of top.querySelectorAll("button, a, select, input, summary, label.button")) {
        const box = part.getBoundingClientRect();
        const isUnseen = box.width <= 1 || box.height <= 1 || !part.checkVisibility() || part.matches(".unseen, .skip");
        const isClipped = getComputedStyle(part).clipPath !== "none";
        if (isUnseen || isClipped || part.closest("p, dd, li p, .soft, footer")) continue;
        const name = part.getAttribute("aria-label") || part.textContent.trim() || part.id || part.type;
        const hit = part.matches("input[type=checkbox], input[type=radio]") ? part.closest("label") ?? part : part;
        const height = Math.round(hit.getBoundingClientRect().height);
        if (isTouched && height < 31) faults.push(`${name} is ${height} pixels high for a thumb`);
        if (part.matches("button, .button") && part.scrollWidth > part.clientWidth + 1) faults.push(`${name} is cut`);
    }
    return faults;
}"""
"""What is wrong on any screen: something to the side of it, a control too small for a thumb, words that are cut."""


def layout_of(page: Page) -> Layout:
    """Tell how the parts that are seen now stand to each other."""
    parts = page.evaluate(_PARTS)
    layout: Layout = {}
    for index, one in enumerate(parts):
        beside = [other for other in parts[index + 1 :] if other["around"] == one["around"]]
        for other in beside[:_NEAR]:
            layout[f"{one['name']} | {other['name']}"] = _how(one, other)
    return layout


def kept_layouts() -> dict[str, Layout]:
    """Read the layouts that are kept, by view and screen."""
    return json.loads(FILE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _how(one: Mapping[str, float], other: Mapping[str, float]) -> str:
    """Say how one box stands to another. A pixel more or less is rounding."""
    if one["bottom"] <= other["top"] + 1:
        return "above"
    if one["top"] >= other["bottom"] - 1:
        return "below"
    if one["right"] <= other["left"] + 1:
        return "left of"
    if one["left"] >= other["right"] - 1:
        return "right of"
    return "over"
