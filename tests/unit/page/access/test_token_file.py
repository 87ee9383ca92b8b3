"""The token's file: whoever else can read it would have the token."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dreamd.errors import ConfigError
from dreamd.page.access.callers import Caller
from dreamd.page.access.token_file import programs_of, token_of
from dreamd.settings.config import Config, load_config

TOKEN = "correct-horse-battery"
OTHER = "another-horse-battery"


def config_with(folder: Path, text: str, mode: int) -> Config:
    file = folder / "page-token"
    file.write_text(text)
    file.chmod(mode)
    (folder / "config.yaml").write_text("inbox: inbox\nstatus: {token_file: page-token}\n")
    return load_config(folder / "config.yaml")


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o647, 0o777])
def test_a_token_file_that_everybody_may_use_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    config = config_with(tmp_path, TOKEN, mode)
    with pytest.raises(ConfigError, match="everybody can read it; do `chmod o= ") as error:
        token_of(config)
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o660])
def test_a_token_file_of_its_owner_and_group_is_read(tmp_path: Path, mode: int) -> None:
    assert token_of(config_with(tmp_path, f"{TOKEN}\n", mode)) == TOKEN


def test_a_token_file_that_is_a_pipe_a_folder_or_not_there_is_told_and_not_waited_for(tmp_path: Path) -> None:
    config = config_with(tmp_path, TOKEN, 0o600)
    file = tmp_path / "page-token"
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        token_of(config)
    os.mkfifo(file, 0o600)
    with pytest.raises(ConfigError, match="it is no file"):
        token_of(config)
    file.unlink()
    file.mkdir(0o700)
    with pytest.raises(ConfigError, match="it is no file"):
        token_of(config)


# Tokens of programs


def config_of_programs(folder: Path, tokens: dict[str, str], page: str = TOKEN) -> Config:
    for name, text in {**tokens, "page": page}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    given = ", ".join(f"{name}: {{token_file: {name}, may: read}}" for name in tokens)
    status = f"status: {{token_file: page, tokens: {{{given}}}}}"
    (folder / "config.yaml").write_text(f"inbox: inbox\n{status}\n")
    return load_config(folder / "config.yaml")


def test_each_program_has_its_name_its_rights_and_its_token(tmp_path: Path) -> None:
    (camera,) = programs_of(config_of_programs(tmp_path, {"camera": f"{OTHER}\n"}))
    assert (camera.caller, camera.token) == (Caller("camera", frozenset({"read"})), OTHER)


@pytest.mark.parametrize(
    ("tokens", "whose"),
    [({"camera": TOKEN}, "the page's token"), ({"camera": OTHER, "wall": OTHER}, "that of camera")],
)
def test_nobody_has_the_token_of_somebody_else(tmp_path: Path, tokens: dict[str, str], whose: str) -> None:
    config = config_of_programs(tmp_path, tokens)
    with pytest.raises(ConfigError, match=f"token_file: is the same as {whose}; give each its own"):
        programs_of(config)


def test_the_token_of_a_program_is_refused_as_the_pages_is(tmp_path: Path) -> None:
    config = config_of_programs(tmp_path, {"camera": "short"})
    with pytest.raises(ConfigError, match=r"status\.tokens\.camera\.token_file: .* must hold 16 or more"):
        programs_of(config)
    (tmp_path / "camera").chmod(0o604)
    with pytest.raises(ConfigError, match=r"status\.tokens\.camera\.token_file: everybody can read it"):
        programs_of(config)


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ("{camera: {token_file: x, may: write}}", r"status\.tokens\.camera\.may"),
        ("{camera: {token_file: x, may: []}}", r"status\.tokens\.camera\.may"),
        ("{camera: {may: read}}", r"status\.tokens\.camera\.token_file"),
        ("{'': {token_file: x, may: read}}", r"status\.tokens: .*must have names"),
        ("{'a b': {token_file: x, may: read}}", r"status\.tokens: .*must have names"),
    ],
)
def test_what_is_no_token_of_a_program_is_told_with_its_field(tmp_path: Path, tokens: str, problem: str) -> None:
    (tmp_path / "config.yaml").write_text(f"inbox: inbox\nstatus: {{tokens: {tokens}}}\n")
    with pytest.raises(ConfigError, match=problem):
        load_config(tmp_path / "config.yaml")
