"""The systemd units: sound, hardened, and alike for one tree and for several."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
SERVICES = ["dreamd.service", "dreamd@.service", "dreamd-prune.service", "dreamd-prune@.service"]

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")


def directives(name: str) -> list[str]:
    """The lines of a unit, or of any file here, that are no comments."""
    return [line for line in (SYSTEMD / name).read_text().splitlines() if line and not line.startswith("#")]


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_the_sandbox_is_as_tight_as_promised(name: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(SYSTEMD / name)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", told)
    assert exposure is not None
    assert float(exposure[1]) <= 1.7


@needs_systemd
@pytest.mark.parametrize("name", [*SERVICES, "dreamd-nvidia.service", "dreamd-prune.timer", "dreamd-prune@.timer"])
def test_systemd_understands_every_line(name: str) -> None:
    command = ["systemd-analyze", "verify", "--man=no", str(SYSTEMD / name)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    complaints = done.stderr.splitlines()
    # The software is not installed here, and nothing else may be wrong.
    assert [line for line in complaints if "/opt/dreamd/bin/dreamd is not executable" not in line] == []


@pytest.mark.parametrize("name", ["dreamd", "dreamd-prune"])
def test_the_unit_of_another_tree_differs_in_its_folders_only(name: str) -> None:
    expected = []
    for line in directives(f"{name}.service"):
        line = re.sub(r"(/etc|/srv)/dreamd\b", r"\1/dreamd-%i", line)
        line = re.sub(r"^(RequiresMountsFor=.*) /var/lib/dreamd$", r"\1 /var/lib/dreamd /var/lib/dreamd-%i", line)
        line = re.sub(r"^StateDirectory=dreamd$", "StateDirectory=dreamd dreamd-%i", line)
        expected.append(re.sub(r"^(Description=.*)$", r"\1 (%i)", line))
    assert directives(f"{name}@.service") == expected


def test_the_driver_is_loaded_by_a_unit_that_comes_first() -> None:
    """systemd looks up DeviceAllow= in /proc/devices before it runs any ExecStartPre= of the same unit."""
    lines = directives("dreamd.service")
    assert not any("nvidia-modprobe" in line for line in lines)
    assert {"Wants=dreamd-nvidia.service", "After=dreamd-nvidia.service"} <= {*lines}
    driver = directives("dreamd-nvidia.service")
    assert "Type=oneshot" in driver
    assert not any(line.startswith("RemainAfterExit=") for line in driver)  # each start of dreamd runs it again


def test_a_stop_has_more_time_than_running_jobs_have_by_default() -> None:
    from dreamd.settings.sections import Limits

    (stop,) = [line for line in directives("dreamd.service") if line.startswith("TimeoutStopSec=")]
    assert int(stop.partition("=")[2].removesuffix("s")) > Limits().stop_seconds


def test_the_devices_of_nvidia_are_allowed_under_both_of_their_names() -> None:
    allowed = {line.partition("=")[2] for line in directives("dreamd.service") if line.startswith("DeviceAllow=")}
    assert {"char-nvidia rw", "char-nvidia-frontend rw", "char-nvidiactl rw", "char-nvidia-uvm rw"} <= allowed


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_an_install_into_a_folder_and_an_uninstall_leave_the_config_and_the_inbox(tmp_path: Path) -> None:
    def make(*arguments: str) -> set[str]:
        command = ["make", "-C", str(SYSTEMD.parent), *arguments, f"DESTDIR={tmp_path}"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}

    installed = make("install-service")
    assert {f"usr/local/lib/systemd/system/{name}" for name in SERVICES} < installed
    config = tmp_path / "etc/dreamd/config.yaml"
    assert re.search(r"^outbox: /srv/dreamd/outbox +#", config.read_text(), re.MULTILINE)
    config.write_text("inbox: /mine\n")
    assert make("install-service") == installed
    assert config.read_text() == "inbox: /mine\n"
    garden = (make("install-service", "NAME=garden") and tmp_path / "etc/dreamd-garden/config.yaml").read_text()
    for line in ("originals: /srv/dreamd-garden/done", "state: /var/lib/dreamd-garden"):
        assert re.search(rf"^{line} +#", garden, re.MULTILINE)
    left = make("uninstall-service")
    assert {name.partition("/")[0] for name in left} == {"etc", "srv"}


def test_the_config_of_a_service_is_sound(tmp_path: Path) -> None:
    from dreamd.settings.config import load_config

    command = ["make", "-C", str(SYSTEMD.parent), "install-service", f"DESTDIR={tmp_path}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    config = load_config(tmp_path / "etc/dreamd/config.yaml")
    folders = (config.inbox, config.outbox, config.originals, config.failed, config.state)
    assert folders == tuple(map(Path, ("/srv/dreamd/inbox", "/srv/dreamd/outbox", "/srv/dreamd/done",
                                       "/srv/dreamd/failed", "/var/lib/dreamd")))  # fmt: skip
    assert config.plugins.engine == (tmp_path / "etc/dreamd/plugins",)
