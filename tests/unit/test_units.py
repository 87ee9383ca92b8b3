"""The systemd units: sound, hardened, and alike for one tree and for several."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
SERVICES = ["dreamd.service", "dreamd@.service", "dreamd-prune.service", "dreamd-prune@.service"]
UNITS = [*SERVICES, "dreamd-nvidia.service", "dreamd-gpu.service", "dreamd-prune.timer", "dreamd-prune@.timer"]

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
@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_every_line_and_finds_the_documentation(name: str) -> None:
    command = ["systemd-analyze", "verify", str(SYSTEMD / name)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    complaints = done.stderr.splitlines()
    # The software is not installed here, and nothing else may be wrong.
    missing = ("/opt/dreamd/bin/dreamd is not executable", "/usr/local/lib/dreamd/gpu-devices is not executable")
    assert [line for line in complaints if not any(file in line for file in missing)] == []


@pytest.mark.parametrize("name", UNITS)
def test_the_documentation_of_a_unit_is_installed(name: str) -> None:
    (place,) = [line.partition("=")[2] for line in directives(name) if line.startswith("Documentation=")]
    assert place == "file:///usr/local/share/doc/dreamd/operations.md"


RAY = ["dreamd-ray-head.service", "dreamd-ray-node.service"]


@needs_systemd
@pytest.mark.parametrize("name", RAY)
def test_the_units_of_a_ray_cluster_are_sound_and_as_tight_as_dreamds_own(name: str) -> None:
    unit = str(SYSTEMD / "ray" / name)
    verified = subprocess.run(
        ["systemd-analyze", "verify", unit], check=False, capture_output=True, text=True, timeout=60
    )
    missing = ("/opt/dreamd/bin/ray is not executable", "dreamd-nvidia.service", "scaling.md")
    assert [line for line in verified.stderr.splitlines() if not any(word in line for word in missing)] == []
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", unit]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", told)
    assert exposure is not None
    assert float(exposure[1]) <= 1.7


@pytest.mark.parametrize("name", RAY)
def test_a_unit_of_a_ray_cluster_begins_anew_whatever_ends_it_and_leaves_no_worker(name: str) -> None:
    lines = directives(f"ray/{name}")
    assert {"Restart=always", "KillMode=control-group", "StartLimitIntervalSec=0"} <= {*lines}
    assert "IPAddressDeny=any" in lines
    known = set(re.findall(r"^#?(\w+)=", (SYSTEMD / "ray" / "ray.env").read_text(), re.MULTILINE))
    used = set(re.findall(r"\$\{?(\w+)", " ".join(lines)))
    assert used <= known


def test_the_cluster_file_is_what_rays_autoscaler_takes() -> None:
    ray = pytest.importorskip("ray", reason="NOT TESTED: Ray is not installed (pip install 'dreamd[ray]')")
    import jsonschema
    import yaml

    cluster = yaml.safe_load((SYSTEMD / "ray" / "cluster.yaml").read_text())
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)
    assert cluster["available_node_types"]["head"]["resources"] == {"CPU": 0, "GPU": 0}
    assert cluster["available_node_types"]["gpu"]["min_workers"] == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")
def test_the_certificates_of_a_cluster_are_signed_for_each_machine_s_address(tmp_path: Path) -> None:
    subprocess.run([str(SYSTEMD / "ray" / "certificates"), str(tmp_path), "10.0.0.1", "garden"], check=True, timeout=60)
    for machine, name in (("10.0.0.1", "IP Address:10.0.0.1"), ("garden", "DNS:garden")):
        certificate = tmp_path / machine / "machine.crt"
        verify = ["openssl", "verify", "-CAfile", str(tmp_path / machine / "ca.crt"), str(certificate)]
        subprocess.run(verify, check=True, capture_output=True, timeout=60)
        show = ["openssl", "x509", "-in", str(certificate), "-noout", "-ext", "subjectAltName"]
        assert name in subprocess.run(show, check=True, capture_output=True, text=True, timeout=60).stdout
        assert not (tmp_path / machine / "ca.key").exists()


@needs_systemd
def test_a_users_manager_understands_every_line_of_the_users_unit(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    command = ["systemd-analyze", "verify", "--user", "--man=no", str(SYSTEMD / "user" / "dreamd.service")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)
    missing = f"{tmp_path}/.local/bin/dreamd is not executable"
    assert [line for line in done.stderr.splitlines() if missing not in line] == []


def test_the_users_unit_starts_and_stops_as_the_systems_does() -> None:
    alike = ("Type", "NotifyAccess", "ExecReload", "Timeout", "KillMode", "WatchdogSec", "Restart", "OOMPolicy")
    system, user = (
        [line for line in directives(name) if line.startswith(alike)]
        for name in ("dreamd.service", "user/dreamd.service")
    )
    assert user == system


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
    assert {"char-drm rw", "char-kfd rw"} <= allowed  # AMD's


DEVICES = "Character devices:\n  1 mem\n195 nvidia\n226 drm\n"


class Box:
    """A machine's /proc and /run, with stand-ins for two commands that write down how they are called."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.run_folder, self.bin, self._told = (folder / name for name in ("proc", "run", "bin", "told"))
        for place in (self.proc, self.run_folder, self.bin):
            place.mkdir()
        self.says(DEVICES)
        for name in ("systemctl", "nvidia-modprobe"):
            (self.bin / name).write_text(f'#!/bin/sh\necho {name} "$@" >>"{self._told}"\n')
            (self.bin / name).chmod(0o755)

    def says(self, devices: str) -> None:
        (self.proc / "devices").write_text(devices)

    def gpu_devices(self, *arguments: str) -> list[str]:
        """Run the script; returns the commands that it has called."""
        self._told.write_text("")
        places = {"PROC": self.proc, "RUN": self.run_folder, "MODPROBE": self.bin / "nvidia-modprobe"}
        variables = {name: str(place) for name, place in places.items()}
        path = f"{self.bin}:{os.environ['PATH']}"
        subprocess.run(
            [SYSTEMD / "gpu-devices", *arguments],
            check=True,
            env={**variables, "PATH": path, "PATIENCE": "0"},
            timeout=60,
        )
        return self._told.read_text().splitlines()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_the_device_files_of_every_card_are_made(box: Box) -> None:
    assert box.gpu_devices("make") == ["nvidia-modprobe", "nvidia-modprobe -c 0 -u"]
    for address, minor in (("0000:01:00.0", 0), ("0000:41:00.0", 1), ("0000:81:00.0", 12)):
        card = box.proc / "driver" / "nvidia" / "gpus" / address
        card.mkdir(parents=True)
        (card / "information").write_text(f"Model: \t\t A card\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n")
    assert box.gpu_devices("make")[1:] == ["nvidia-modprobe -c 0 -c 1 -c 12 -u"]


def test_a_dreamd_that_was_started_before_the_driver_came_is_restarted_once_and_no_other(box: Box) -> None:
    assert box.gpu_devices("restart") == []
    box.gpu_devices("note", "dreamd")
    box.says(f"{DEVICES}511 nvidia-uvm\n")
    box.gpu_devices("note", "dreamd@garden")
    assert box.gpu_devices("restart") == ["systemctl --no-block try-restart dreamd.service"]
    assert box.gpu_devices("restart") == []
    box.says(f"{DEVICES}511 nvidia-uvm\n512 ttyUSB\n")
    assert box.gpu_devices("restart") == []
    box.says(f"{DEVICES}511 nvidia-uvm\n234 kfd\n")
    assert len(box.gpu_devices("restart")) == 2


def test_a_service_notes_the_devices_at_its_start_and_udev_tells_of_those_that_come_later() -> None:
    assert "ExecStartPre=-+/usr/local/lib/dreamd/gpu-devices note %N" in directives("dreamd.service")
    rules = directives("udev.rules")
    assert len(rules) == 3
    assert all('RUN+="/usr/bin/systemctl --no-block start dreamd-gpu.service"' in rule for rule in rules)


# Releases


class Releases:
    """A place for releases, and a stand-in for Python whose venvs hold a dreamd that only tells which one it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        (folder / "bin").mkdir()
        self._python = folder / "python"
        self._python.write_text(
            "#!/bin/sh\nset -e\n"
            'case "$1 $2" in\n'
            '"-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"\n'
            '    printf "#!/bin/sh\\nexit $BROKEN; # $NUMBER" >"$3/bin/dreamd"; chmod +x "$3/bin/dreamd" ;;\n'
            '"-m pip") echo "$@" >>"$FOLDER/pip"; echo "click==$NUMBER" ;;\n'
            "*) echo /usr ;;\nesac\n"
        )
        self._python.chmod(0o755)

    def install(self, what: str, *, broken: int = 0, **variables: str) -> int:
        self.number += 1
        own = {"OPT": self.folder, "BIN": self.folder / "bin", "PYTHON": self._python, "FOLDER": self.folder}
        variables |= {name: str(value) for name, value in own.items()}
        variables |= {"NUMBER": str(self.number), "BROKEN": str(broken), "PATH": os.environ["PATH"]}
        command = ["sh", SYSTEMD / "install.sh", what]
        return subprocess.run(command, check=False, capture_output=True, env=variables, timeout=60).returncode

    @property
    def current(self) -> str:
        """The number of the release that the command runs."""
        return (self.folder / "bin" / "dreamd").read_text().rpartition("# ")[2]

    @property
    def kept(self) -> int:
        return sum(not entry.is_symlink() for entry in (self.folder / "dreamd-releases").iterdir())


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path)


def test_an_upgrade_stands_beside_the_release_before_and_can_be_taken_back_and_again(releases: Releases) -> None:
    for number in ("1", "2", "3"):
        assert releases.install("software") == 0
        assert releases.current == number
    assert (releases.folder / "dreamd").is_symlink()
    assert releases.kept == 2
    for number in ("2", "3"):
        assert releases.install("rollback") == 0
        assert releases.current == number


def test_an_upgrade_that_fails_changes_nothing(releases: Releases) -> None:
    releases.install("software")
    assert releases.install("software", broken=1) == 1
    assert (releases.current, releases.kept) == ("1", 1)
    assert releases.install("rollback") == 1
    assert releases.current == "1"


def test_a_release_that_was_installed_without_a_link_is_kept_for_a_rollback(releases: Releases) -> None:
    old = releases.folder / "dreamd" / "bin"
    old.mkdir(parents=True)
    (old / "dreamd").write_text("#!/bin/sh\nexit 0; # old")
    (old / "dreamd").chmod(0o755)
    assert releases.install("software") == 0
    assert releases.current == "1"
    assert releases.install("rollback") == 0
    assert releases.current == "old"


def test_a_release_is_built_of_the_versions_that_the_tests_ran_with_unless_others_are_wanted(
    releases: Releases,
) -> None:
    releases.install("software")
    releases.install("software", CONSTRAINTS="")
    releases.install("software", CONSTRAINTS="/mine.txt")
    lines = [line for line in (releases.folder / "pip").read_text().splitlines() if " install " in line]
    wanted = [re.search(r"--constraint (\S+)", line) for line in lines]
    assert [match and match[1] for match in wanted] == [f"{SYSTEMD}/constraints.txt", None, "/mine.txt"]
    assert (releases.folder / "dreamd" / "constraints.txt").read_text() == "click==3\n"


def test_the_constraints_name_a_version_of_everything_that_the_service_asks_for() -> None:
    project = tomllib.loads((SYSTEMD.parent / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["service"]]
    names = {re.split("[=>]", line)[0] for line in directives("constraints.txt")}
    assert {re.split("[=><]", line)[0] for line in asked} <= names


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
