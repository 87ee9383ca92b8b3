"""Files of several pages from end to end: dropped into an inbox, killed in the middle, hostile, and by the command."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyvips
import yaml
from click.testing import CliRunner
from PIL import Image

from dreamd.cli import main
from tests import badfiles
from tests.badfiles import longs, tiff_of, tiff_page
from tests.unit.pictures.paging import kit as files

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Warm = tuple[Tree, RunningDaemon]

ALL = "image: {pages: all}\n"


def sizes_of(file: Path) -> list[tuple[int, int]]:
    """Width and height of each page of a TIFF."""
    count = pyvips.Image.tiffload(str(file)).get("n-pages")
    pages = [pyvips.Image.tiffload(str(file), page=number) for number in range(count)]
    return [(page.width, page.height) for page in pages]


def test_all_pages_come_out_in_one_tiff_where_the_folder_wants_them(warm: Warm) -> None:
    tree, _ = warm
    tree.recipe("scans", ALL)
    pair = files.mpo((files.FOR_TWO_EYES, files.blue()))
    tree.drop("scans/mixed.tif", files.mixed_tiff())
    tree.drop("scans/pair.mpo", pair)
    tree.drop("scans/single.jpg", files.blue())
    tree.drop("first/mixed.tif", files.mixed_tiff())
    assert sizes_of(tree.result("scans/mixed.tif")) == [(60, 40), (33, 47), (21, 19)]
    assert sizes_of(tree.result("scans/pair.tif")) == [(40, 30), (50, 20)]
    told = tree.sidecar("scans/pair.tif")
    assert [page["size"] for page in told["pages"]] == [[40, 30], [50, 20]]
    assert any("pages of a TIFF" in note for note in told["notes"])
    assert (tree.done / "scans" / "pair.mpo").read_bytes() == pair
    with Image.open(tree.result("scans/single.jpg")) as single:
        assert (single.format, single.size) == ("JPEG", (50, 20))
    assert sizes_of(tree.result("first/mixed.tif")) == [(60, 40)]
    assert tree.sidecar("first/mixed.tif")["notes"] == ["it holds 3 pages: the first was dreamed"]
    assert tree.sidecar("first/mixed.tif")["pages"] == []
    tree.wait_for(lambda: not tree.files(tree.state / "checkpoints"), "what was kept of the pages to be removed")


def test_pages_whose_worker_is_killed_go_on_and_have_the_same_bytes(warm: Warm) -> None:
    tree, daemon = warm
    tree.recipe("long", f"{ALL}ascent: {{iterations: 12, jitter: 4}}\nschedule: {{name: octaves, num_octaves: 3}}\n")
    source = files.plain_tiff(14, 96, 64)
    tree.drop("long/one.tif", source)

    tree.wait_for(lambda: 2 <= tree.finished_frames() < 12, "a page in the middle")
    os.kill(daemon.worker("busy"), signal.SIGKILL)
    broken = tree.result("long/one.tif").read_bytes()
    tree.drop("long/two.tif", source)
    assert tree.result("long/two.tif").read_bytes() == broken
    assert sizes_of(tree.result("long/two.tif")) == [(96, 64)] * 14


def test_hostile_pages_end_in_failed_with_a_reason(warm: Warm) -> None:
    tree, daemon = warm
    tree.recipe("hostile", ALL)
    good, (tags, pixels) = tiff_page(badfiles.noise(32, 24)), tiff_page(badfiles.noise(32, 24))
    huge = {**tags, 256: longs(100_000), 257: longs(100_000)}
    pid = daemon.worker()
    reasons = {
        "endless.tif": (files.endless_tiff(200_000), "limits.max_pages allows (1000)"),
        "circle.tif": (files.circular_tiff(), "runs in a circle"),
        "huge.tif": (tiff_of(good, (huge, pixels)), "100000 x 100000 pixels, more than limits.max_pixels"),
        "cut.tif": (tiff_of(good, ({**tags, 279: longs(99)}, pixels[:99])), "page 2 of 2: not a picture that can be"),
    }
    for name, (data, _) in reasons.items():
        tree.drop(f"hostile/{name}", data)
    for name, (_, reason) in reasons.items():
        assert reason in tree.failure(f"hostile/{name}"), name
    assert not (tree.outbox / "hostile").exists() or not tree.files(tree.outbox / "hostile")
    assert daemon.worker() == pid


def test_a_format_that_holds_one_picture_holds_its_folder_with_file_and_line(warm: Warm) -> None:
    tree, _ = warm
    tree.recipe("jpegs", f"{ALL}output:\n  format: jpeg\n")
    tree.drop("jpegs/mixed.tif", files.mixed_tiff())
    assert "recipe.yaml:3: output.format: jpeg holds one picture" in tree.hold("jpegs")["reason"]
    tree.recipe("jpegs", ALL)
    assert len(sizes_of(tree.result("jpegs/mixed.tif"))) == 3


def test_the_command_dreams_all_pages_and_says_which_name_they_need(warm: Warm, tmp_path: Path) -> None:
    tree, _ = warm
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(yaml.safe_load(tree.config.read_text())["defaults"]))
    words = ["--recipe", str(recipe), "--plugins", str(tree.root / "plugins"), "--set", "image.pages=all"]
    source, picture = tmp_path / "a.tif", tmp_path / "a.png"
    source.write_bytes(files.mixed_tiff())
    Image.new("RGB", (40, 30), "red").save(picture)

    def dream(*arguments: object) -> Any:
        return CliRunner().invoke(main, ["dream", *map(str, arguments), *words])

    assert dream(source, tmp_path / "out.tif").exit_code == 0
    assert sizes_of(tmp_path / "out.tif") == [(60, 40), (33, 47), (21, 19)]
    assert len(json.loads((tmp_path / "out.tif.json").read_bytes())["pages"]) == 3
    refused = dream(source, tmp_path / "out.png")
    assert refused.exit_code == 2
    assert "ends in .tif" in refused.output
    assert dream(picture, tmp_path / "single.png").exit_code == 0
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".dreamd")]
