"""What is found in an inbox, and what is left alone."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path, PurePosixPath

import pytest

from dreamd.inbox.recipes import RecipeChanged
from dreamd.inbox.settling import Settled
from dreamd.inbox.wholeness import appearance
from tests.integration.inbox.desk import PNG, UNKNOWN, by_event, by_rescan


def test_files_that_were_there_at_the_start_settle_like_any_other(make, inbox):
    (inbox / "trips").mkdir()
    (inbox / "trips/cat.png").write_bytes(PNG)
    (inbox / "dog.xyz").write_bytes(b"unknown")
    desk = make().start()
    assert desk.watcher.next_deadline() == desk.now
    assert desk.due() == [by_rescan("trips/cat.png")]
    assert desk.due(after=1) == [by_rescan("dog.xyz")]


def test_the_files_of_a_folder_moved_in_whole_settle_at_once(desk, inbox, tmp_path):
    (tmp_path / "album/rome").mkdir(parents=True)
    (tmp_path / "album/a.xyz").write_bytes(b"unknown")
    (tmp_path / "album/rome/b.png").write_bytes(PNG)
    (tmp_path / "album").rename(inbox / "album")
    assert sorted(desk.settle(2), key=str) == [by_event("album/a.xyz"), by_event("album/rome/b.png")]
    (inbox / "album").rename(inbox / "trip")
    assert sorted(desk.settle(2), key=str) == [by_event("trip/a.xyz"), by_event("trip/rome/b.png")]
    (inbox / "last.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("last.png")]


def test_files_in_folders_made_a_moment_ago_are_found_by_events(desk, inbox):
    for number in range(50):
        folder = inbox / f"a{number}/b/c"
        folder.mkdir(parents=True)
        (folder / "cat.png").write_bytes(PNG)
    assert {found.path.name for found in desk.settle(50)} == {"cat.png"}
    (inbox / "a7").rename(inbox / "z7")
    assert desk.settle(1) == [by_event("z7/b/c/cat.png")]
    (inbox / "z7/b/c/dog.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("z7/b/c/dog.png")]


@pytest.mark.usefixtures("no_leases")
def test_another_users_files_in_folders_made_a_moment_ago_wait_for_no_end_that_is_past(make, inbox):
    desk = make().start()
    desk.due()
    for number in range(20):
        (inbox / f"a{number}").mkdir()
        (inbox / f"a{number}/cat.png").write_bytes(PNG)
    (inbox / "last.png").write_bytes(PNG)
    desk.until("closed", "last.png")
    desk.due()
    assert len(desk.paths(after=1)) == 21


def test_a_folder_that_loses_its_hidden_name_is_watched_from_then_on(desk, inbox):
    (inbox / ".unpacking").mkdir()
    (inbox / ".unpacking/a.png").write_bytes(PNG)
    (inbox / ".unpacking").rename(inbox / "album")
    assert desk.settle(1) == [by_event("album/a.png")]
    (inbox / "album/b.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("album/b.png")]


def test_names_that_are_no_utf8_or_hold_a_newline_are_found(desk, inbox):
    names = [b"caf\xe9.png", b"a\nb.png", b"-rf.png", b"n" * 251 + b".png"]
    for name in names:
        Path(os.fsdecode(os.fsencode(inbox) + b"/" + name)).write_bytes(PNG)
    assert sorted(os.fsencode(found.path) for found in desk.settle(4)) == sorted(names)


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.png",
        ".dreamd/work/1/cat.png",
        "trips/.trash/cat.png",
        "cat.png~",
        "cat.png.crdownload",
        "#cat.png#",
        "Thumbs.db",
        "@eaDir/cat.png",
        "#recycle/cat.png",
        "trips/@Recycle/deep/cat.png",
        "Recipe.yaml",
        "recipe.yaml/cat.png",
        "raw/cat.CR3",
        "skip-me/cat.png",
    ],
)
def test_litter_and_temporary_names_are_left_alone_by_event_and_by_walk(make, inbox, name):
    desk = make(ignore=["*.CR3", "skip-*"]).start()
    desk.due()
    (inbox / name).parent.mkdir(parents=True, exist_ok=True)
    (inbox / name).write_bytes(PNG)
    (inbox / "seen.png").write_bytes(PNG)
    found = [*desk.settle(1), *desk.due(after=31), *desk.due(after=31)]
    assert [os.fspath(each.path) for each in found if isinstance(each, Settled)] == ["seen.png"]


def test_only_regular_files_are_reported_and_nothing_else_is_opened(desk, inbox, tmp_path, monkeypatch):
    opened = []
    real = os.open
    monkeypatch.setattr(appearance.os, "open", lambda path, *rest, **more: opened.append(path) or real(path, *rest))
    (tmp_path / "secret.png").write_bytes(PNG)
    (inbox / "link.png").symlink_to(tmp_path / "secret.png")
    (inbox / "folder").symlink_to(tmp_path)
    os.mkfifo(inbox / "pipe.png")
    (inbox / "seen.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("seen.png")]
    assert desk.due(after=31) == []
    assert opened == [os.fspath(inbox / "seen.png")]


def test_a_changed_recipe_is_reported_and_never_as_a_picture(desk, inbox):
    (inbox / "trips").mkdir()
    (inbox / "trips/recipe.yaml").write_text("layers: 3")
    (inbox / "recipe.yml").write_text("layers: 4")
    desk.until("closed", "recipe.yml")
    assert desk.due() == [RecipeChanged(PurePosixPath(".")), RecipeChanged(PurePosixPath("trips"))]
    (inbox / "trips/recipe.yaml").unlink()
    desk.until("deleted", "trips/recipe.yaml")
    assert desk.due() == [RecipeChanged(PurePosixPath("trips"))]
    assert desk.due(after=31) == []


def test_a_recipe_is_reported_when_it_is_written_not_when_it_is_still_empty(desk, inbox):
    with (inbox / "recipe.yaml").open("w") as file:
        desk.until("created", "recipe.yaml")
        assert desk.due() == []
        file.write("layers: 3")
    desk.until("closed", "recipe.yaml")
    assert desk.due() == [RecipeChanged(PurePosixPath("."))]


def test_a_recipe_that_changed_without_an_event_is_found_by_the_rescan(make, inbox):
    desk = make(backend="polling").start()
    (inbox / "recipe.yaml").write_text("layers: 3")
    assert desk.due() == [RecipeChanged(PurePosixPath("."))]
    (inbox / "recipe.yaml").write_text("layers: 31")
    assert desk.due(after=2) == [RecipeChanged(PurePosixPath("."))]
    (inbox / "recipe.yaml").unlink()
    assert desk.due(after=2) == [RecipeChanged(PurePosixPath("."))]
    assert desk.due(after=2) == []


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
@pytest.mark.parametrize("backend", ["inotify", "polling"])
def test_whatever_is_called_a_recipe_is_reported_when_it_comes_and_when_it_goes(make, inbox, tmp_path, kind, backend):
    recipe = inbox / "trips" / "recipe.yaml"
    recipe.parent.mkdir()
    desk = make(backend=backend).start()
    assert desk.due() == []

    def found_after(event: str) -> list[object]:
        if backend == "polling":
            return desk.due(after=1)
        desk.until(event, "trips/recipe.yaml")
        return desk.due()

    if kind == "link":
        recipe.symlink_to(tmp_path)
    elif kind == "folder":
        recipe.mkdir()
        (recipe / "cat.png").write_bytes(PNG)
    else:
        os.mkfifo(recipe)
    assert found_after("created") == [RecipeChanged(PurePosixPath("trips"))]
    shutil.rmtree(recipe) if kind == "folder" else recipe.unlink()
    assert found_after("deleted") == [RecipeChanged(PurePosixPath("trips"))]
    assert desk.due(after=31) == []


def test_a_folder_that_goes_takes_its_recipe_with_it(desk, inbox, tmp_path):
    (inbox / "trips").mkdir()
    (inbox / "trips/recipe.yaml").write_text("layers: 3")
    assert desk.find() == [RecipeChanged(PurePosixPath("trips"))]
    (inbox / "trips").rename(tmp_path / "trips")
    desk.until("deleted", "trips")
    assert desk.due() == [RecipeChanged(PurePosixPath("trips"))]


def test_a_folder_that_may_not_be_read_is_said_once_and_listed_until_it_may(desk, inbox, as_another_user, caplog):
    (inbox / "private").mkdir(mode=0o700)
    (inbox / "private/cat.png").write_bytes(b"")
    with as_another_user():
        assert desk.due(after=31) == desk.due(after=31) == []
    assert desk.watcher.skipped == {"private": "the folder private cannot be read (Permission denied); `chmod g+rx` it"}
    assert len([record for record in caplog.records if "private" in record.getMessage()]) == 1
    (inbox / "private").chmod(0o755)
    with as_another_user():
        desk.due(after=31)
    assert desk.watcher.skipped == {}


def test_links_and_pipes_and_misspelt_recipes_are_said_once_and_listed_while_they_are_there(
    desk, inbox, tmp_path, caplog
):
    (inbox / "trips").mkdir()
    for number in range(3):
        (inbox / f"trips/{number}.png").symlink_to(tmp_path / "cat.png")
    (inbox / "folder").symlink_to(tmp_path)
    (inbox / ".hidden").symlink_to(tmp_path)
    assert desk.due(after=31) == desk.due(after=31) == []
    assert set(desk.watcher.skipped) == {"trips/0.png", "trips/1.png", "trips/2.png", "folder"}
    assert set(desk.watcher.skipped.values()) == {"a link, and links are not followed"}
    said = [record.getMessage() for record in caplog.records if "left in the inbox" in record.getMessage()]
    assert len(said) == 1
    assert said[0].endswith("is a link, and links are not followed (and 3 more are left like it)")
    shutil.rmtree(inbox / "trips")
    os.mkfifo(inbox / "pipe.png")
    (inbox / "Recipe.yaml").write_text("layers: 3")
    desk.due(after=31)
    (inbox / "folder").unlink()
    desk.due(after=31)
    assert desk.watcher.skipped == {
        "pipe.png": "neither a file nor a folder",
        "Recipe.yaml": "not read; did you mean recipe.yaml?",
    }


@pytest.mark.slow
def test_twenty_thousand_files_at_once_are_all_reported_once(desk, inbox):
    count = 20_000
    for number in range(count):
        (inbox / f"{number}.png").write_bytes(PNG)
    found = []
    for _ in range(20):
        while not desk.events.empty():
            desk.watcher.handle(desk.events.get())
        found += desk.paths(after=2)
        if len(found) >= count:
            break
    found += desk.paths(after=31)
    assert len(found) == count
    assert len(set(found)) == count


def test_of_very_many_files_some_are_looked_at_in_a_turn_and_none_is_left_out(make, inbox):
    for number in range(2_500):
        (inbox / f"{number}.xyz").write_bytes(UNKNOWN)
    desk = make(backend="polling", settle_seconds=0.0).start()
    turns = [desk.watcher.due(desk.now)]
    while desk.watcher.next_deadline() <= desk.now:
        turns.append(desk.watcher.due(desk.now))
    assert max(len(turn) for turn in turns) <= 2_000
    assert len({found.path for turn in turns for found in turn}) == 2_500


def test_files_that_came_while_nobody_watched_settle_in_the_order_they_came(make, inbox):
    names = [f"{number * 7 % 10}.png" for number in range(10)]
    last = 0
    for name in names:
        while not (inbox / name).exists() or (inbox / name).stat().st_ctime_ns == last:  # the kernel's clock is coarse
            (inbox / name).write_bytes(PNG)
        last = (inbox / name).stat().st_ctime_ns
    assert make(backend="polling").start().paths() == names


@pytest.mark.slow
def test_a_rescan_of_many_known_files_is_quick(make, inbox):
    for number in range(20_000):
        (inbox / f"{number}.xyz").write_bytes(UNKNOWN)
    desk = make(backend="polling").start()
    assert len(desk.paths()) == 0
    assert len(desk.paths(after=2)) == 20_000
    began = time.perf_counter()
    assert desk.due(after=31) == []
    assert time.perf_counter() - began < 1.5  # 100,000 in well under 3 s, with room for a busy machine
