"""The folders that were made for a picture's own recipe, and their end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from dreamd.job import Job, JobState
from dreamd.page.posting.folder_tidying import RecipeFolders
from dreamd.page.posting.recipe_folders import RecipeFolder
from dreamd.page.server import prepare
from dreamd.settings.config import Config, load_config
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder

MADE = RecipeFolder.of(".", "classic")
TEXT, NAME = MADE.text.encode(), MADE.folder


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "inbox" / ".dreamd").mkdir(parents=True)
    return load_config(tmp_path / "config.yaml")


@pytest.fixture
def journal(config: Config) -> Iterator[Journal]:
    with Journal.open(StateFolder(config.state).journal) as opened:
        yield opened


def folder_of(config: Config, name: str = NAME, text: bytes = TEXT, hours: float = 2.0) -> Path:
    """A folder with a recipe, into which nothing has come for some hours."""
    folder = config.inbox / "camera" / name
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_bytes(text)
    when = time.time() - hours * 3600
    os.utime(folder, (when, when))
    return folder


@pytest.mark.usefixtures("journal")
def test_a_folder_that_nobody_needs_goes_and_leaves_nothing(config: Config) -> None:
    folder = folder_of(config)
    assert RecipeFolders(config).tidy() == [f"camera/{NAME}"]
    assert not folder.exists()
    assert folder.parent.exists()
    assert list((config.inbox / ".dreamd" / "uploads").iterdir()) == []


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(
    ("name", "text", "hours"),
    [
        (NAME, TEXT, 0.5),  # something came lately
        (NAME, TEXT + b"seed: 3\n", 2.0),  # a person has changed its recipe
        ("classic", TEXT, 2.0),  # a person has made it
        ("sea-0123456789", TEXT, 2.0),  # its name only looks so
    ],
)
def test_any_other_folder_stays(config: Config, name: str, text: bytes, hours: float) -> None:
    folder = folder_of(config, name, text, hours)
    assert RecipeFolders(config).tidy() == []
    assert (folder / "recipe.yaml").read_bytes() == text


@pytest.mark.usefixtures("journal")
def test_a_folder_stays_while_a_picture_lies_in_it_has_failed_in_it_or_is_about_to_come(config: Config) -> None:
    folder = folder_of(config)
    folders = RecipeFolders(config)
    folders.begin_use(f"camera/{NAME}")
    assert folders.tidy() == []
    failed = config.failed / "camera" / NAME
    failed.mkdir(parents=True)
    (failed / "cat.png").touch()
    folders.end_use(f"camera/{NAME}")
    assert folders.tidy() == []
    (failed / "cat.png").unlink()
    (folder / "cat.png").touch()
    os.utime(folder, (1.0, 1.0))
    assert folders.tidy() == []
    (folder / "cat.png").unlink()
    os.utime(folder, (1.0, 1.0))
    assert folders.tidy() == [f"camera/{NAME}"]


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize("has_come", [True, False])
def test_a_kill_while_a_folder_is_removed_loses_no_picture_and_keeps_no_page_from_starting(
    config: Config, has_come: bool
) -> None:
    home = folder_of(config)
    if has_come:
        (home / "cat.png").write_bytes(b"cat")
    aside = config.inbox / ".dreamd" / "uploads" / "folder-0123456789abcdef"
    (aside / "camera").mkdir(parents=True)
    home.rename(aside / "camera" / NAME)
    os.utime(aside, (1.0, 1.0))
    prepare(config)
    assert not aside.exists()
    assert home.exists() is has_come
    if has_come:
        assert (home / "cat.png").read_bytes() == b"cat"
        assert (home / "recipe.yaml").read_bytes() == TEXT


@pytest.mark.usefixtures("journal")
def test_what_cannot_be_put_back_stays_and_keeps_no_page_from_starting(config: Config) -> None:
    folder_of(config).joinpath("new.png").touch()
    aside = config.inbox / ".dreamd" / "uploads" / "folder-0123456789abcdef"
    (aside / "camera" / NAME).mkdir(parents=True)
    (aside / "camera" / NAME / "cat.png").touch()
    os.utime(aside, (1.0, 1.0))
    prepare(config)
    assert (aside / "camera" / NAME / "cat.png").exists()


def test_a_folder_stays_until_its_jobs_have_ended(config: Config, journal: Journal) -> None:
    folder_of(config)
    job = Job(id="1", folder=PurePosixPath("camera", NAME), name="cat.png")
    for state, gone in ((JobState.HELD, []), (JobState.DONE, [f"camera/{NAME}"])):
        journal.save([Job(id=job.id, folder=job.folder, name=job.name, state=state)])
        assert RecipeFolders(config).tidy() == gone
