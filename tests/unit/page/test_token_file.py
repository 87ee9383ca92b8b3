"""The token's file: whoever else can read it would have the token."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dreamd.errors import ConfigError
from dreamd.page.access.token_file import token_of
from dreamd.settings.config import Config, load_config

TOKEN = "correct-horse-battery"


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
