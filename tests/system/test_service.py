"""dreamd under a real systemd: start, reload, kills, the watchdog, stop, reboot, the sandbox, prune and uninstall."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Machine = Any
    Service = Any

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture
def gate(service: Service) -> Any:
    """The file that pictures in the mood to wait wait for."""
    gate = service.machine.path("/srv/dreamd/outbox/gate")
    gate.unlink(missing_ok=True)
    return gate


def test_a_fresh_install_starts_is_ready_and_dreams(service: Service) -> None:
    assert service.show("ActiveState") == "active"
    assert service.show("StatusText").startswith("running; watching by inotify; 0 queued, 0 running, 0 held; ")
    service.logged("Started dreamd.service")
    log = service.log()
    assert log.index("worker ready") < log.index("Started dreamd.service")
    service.drop("a.png")
    sidecar = service.result("a.png")
    (line,) = service.logged("dreamed in", f"DREAMD_JOB={sidecar['job']}", "-o", "json")
    message = json.loads(line)
    assert (message["DREAMD_FOLDER"], message["PRIORITY"], message["SYSLOG_IDENTIFIER"]) == (".", "6", "dreamd")
    result = service.machine.path("/srv/dreamd/outbox/a.png")
    assert result.stat().st_mode & 0o007 == 0


def test_the_devices_that_a_start_found_are_noted_where_nobody_but_root_may_write(service: Service) -> None:
    noted, known = (service.machine.run("cat", file).splitlines() for file in ("/run/dreamd.devices", "/proc/devices"))
    assert {*noted} <= {*known}
    assert service.machine.run("stat", "-c", "%U %a", "/run/dreamd.devices").split() == ["root", "640"]


def test_the_driver_is_loaded_before_each_start_and_one_that_comes_late_restarts_the_service(
    service: Service, wait: Callable[..., Any]
) -> None:
    machine = service.machine
    driver = machine.path("/usr/bin/nvidia-modprobe")
    driver.write_text('#!/bin/sh\necho "$@" >>/run/modprobe.log\n')
    driver.chmod(0o755)
    service.stop()
    service.start()
    assert machine.run("cat", "/run/modprobe.log") == "\n-c 0 -u\n"
    main = service.show("MainPID")
    restart = "/usr/local/lib/dreamd/gpu-devices restart"
    machine.run("/bin/sh", "-c", f"PATIENCE=0 {restart}")
    assert service.show("MainPID") == main
    machine.run("/bin/sh", "-c", f"mkdir /tmp/proc; echo '511 nvidia-uvm' >/tmp/proc/devices; PROC=/tmp/proc {restart}")
    wait(lambda: service.show("MainPID") not in (main, "0"), "another daemon")
    wait(lambda: service.show("ActiveState") == "active", "it to be ready")
    driver.unlink()


def as_member(service: Service, line: str, *, check: bool = True) -> str:
    """What a shell says to somebody who is no more than a member of the group."""
    told: str = service.machine.run("runuser", "-u", "nobody", "-g", "dreamd", "--", "/bin/sh", "-c", line, check=check)
    return told


def test_whoever_is_in_the_group_moves_results_away_out_of_any_folder(service: Service) -> None:
    as_member(service, "umask 022; mkdir /srv/dreamd/inbox/taken")
    for name in ("moved.png", "taken/moved.png"):
        service.drop(name)
        service.result(name)
        as_member(service, f"mv /srv/dreamd/outbox/{name} /srv/dreamd/outbox/{name}.json /tmp/ && rm /tmp/moved.png*")
        assert not service.machine.path(f"/srv/dreamd/outbox/{name}").exists()


def test_whoever_is_in_the_group_sees_pauses_and_retries(service: Service, wait: Callable[..., Any]) -> None:
    def order(command: str) -> str:
        return as_member(service, f"/opt/dreamd/bin/dreamd {command} --config /etc/dreamd/config.yaml")

    as_member(service, "umask 022; mkdir /srv/dreamd/inbox/slow")
    assert order("pause slow") == "paused: slow\n"
    service.drop("slow/a.png")
    wait(lambda: "slow" in order("status"), "the member to see the picture that waits")
    assert order("resume") == "nothing is paused\n"
    service.result("slow/a.png")
    as_member(service, "echo no picture >/srv/dreamd/inbox/slow/b.png")
    (job,) = wait(lambda: json.loads(order("jobs --state failed --json")), "the failure")
    assert order(f"retry {job['id']}") == "slow/b.png: back in the inbox\n"
    wait(lambda: json.loads(order("jobs --state failed --json")), "the failure again")
    as_member(service, "rm /srv/dreamd/failed/slow/b.png*")


def test_nobody_in_the_group_gets_at_claimed_pictures_or_at_the_lock(service: Service) -> None:
    for line in (
        "ls /srv/dreamd/inbox/.dreamd",
        "mv /srv/dreamd/inbox/.dreamd /srv/dreamd/inbox/mine",
        "flock --nonblock /srv/dreamd/inbox/.dreamd/lock true",
        "touch /srv/dreamd/inbox/.dreamd/mine",
    ):
        told = as_member(service, f"{line} || echo refused", check=False)
        assert "refused" in told, (line, told)
        assert "denied" in told or "not permitted" in told, (line, told)


def test_whoever_is_in_the_group_may_make_a_folder_and_drop_pictures_whatever_the_umask(service: Service) -> None:
    service.drop("b.png")
    service.result("b.png")
    line = "umask 022; cd /srv/dreamd/inbox; mkdir hers; cp ../outbox/b.png hers/.c.part; mv hers/.c.part hers/c.png"
    as_member(service, line)
    service.result("hers/c.png")


def test_the_workers_log_goes_to_the_journal_with_its_priority(service: Service) -> None:
    assert service.logged("fastest precision is", "DREAMD_LOGGER=dreamd.worker.main", "-o", "json")


def test_a_reload_takes_a_changed_recipe_and_stays_active(service: Service) -> None:
    machine = service.machine
    service.mood("named", "calm")
    recipe = machine.path("/etc/dreamd/recipes/mine.yaml")
    recipe.parent.mkdir(exist_ok=True)
    recipe.write_text("seed: 4\n")
    machine.path("/srv/dreamd/inbox/named/recipe.yaml").write_text("extends: mine\n")
    main = service.show("MainPID")
    machine.run("systemctl", "reload", "dreamd")
    service.drop("named/a.png")
    assert service.result("named/a.png")["recipe"]["seed"] == 4
    recipe.write_text("seed: 5\n")
    machine.run("systemctl", "reload", "dreamd")
    service.drop("named/b.png")
    assert service.result("named/b.png")["recipe"]["seed"] == 5
    assert (service.show("MainPID"), service.show("ActiveState")) == (main, "active")


def test_a_killed_worker_is_followed_by_another_and_the_service_goes_on(service: Service, gate: Any) -> None:
    main = service.show("MainPID")
    service.mood("waiting", "wait")
    service.drop("waiting/worker.png")
    pid = service.running()["pid"]
    gate.touch()
    service.machine.run("/bin/sh", "-c", f"kill -KILL {pid}")
    service.result("waiting/worker.png")
    assert service.show("MainPID") == main


def test_a_killed_daemon_is_restarted_and_loses_nothing(service: Service, gate: Any, wait: Callable[..., Any]) -> None:
    main = service.show("MainPID")
    service.mood("waiting", "wait")
    service.drop("waiting/main.png")
    service.running()
    service.machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "dreamd")
    gate.touch()
    service.result("waiting/main.png")
    wait(lambda: service.show("ActiveState") == "active", "the service to be active again")
    assert service.show("MainPID") != main


def test_what_runs_at_a_stop_is_parked_without_an_attempt_and_goes_on_at_the_next_start(
    service: Service, gate: Any
) -> None:
    service.mood("waiting", "wait")
    service.drop("waiting/stop.png")
    service.running()
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 30
    assert service.show("Result") == "success"
    (job,) = [job for job in json.loads(service.dreamd("jobs", "--json")) if job["picture"] == "waiting/stop.png"]
    assert (job["state"], job["attempts"]) == ("queued", 0)
    gate.touch()
    service.start()
    service.result("waiting/stop.png")


def test_a_stalled_worker_trips_the_watchdog_and_costs_an_attempt(service: Service, wait: Callable[..., Any]) -> None:
    drop_in = service.machine.path("/etc/systemd/system/dreamd.service.d/watchdog.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nWatchdogSec=6s\n")
    service.machine.run("systemctl", "daemon-reload")
    service.stop()
    service.start()
    service.mood("stalled", "stall")
    service.drop("stalled/a.png")
    service.running()
    service.mood("stalled", "calm")  # for the next attempt
    wait(lambda: "Watchdog timeout" in service.log(), "the watchdog")
    service.result("stalled/a.png")
    assert service.logged("Current thread")  # faulthandler shows where the loop was
    (job,) = [job for job in json.loads(service.dreamd("jobs", "--json")) if job["picture"] == "stalled/a.png"]
    assert job["attempts"] == 2
    drop_in.unlink()
    service.machine.run("systemctl", "daemon-reload")


def test_a_reboot_in_the_middle_of_a_queue_loses_nothing(service: Service, gate: Any) -> None:
    service.machine.run("systemctl", "enable", "dreamd")
    service.mood("waiting", "wait")
    names = [f"waiting/reboot{number}.png" for number in range(4)]
    for name in names:
        service.drop(name)
    service.running()
    service.machine.reboot()
    gate.touch()
    for name in names:
        service.result(name)
    outbox = service.machine.path("/srv/dreamd/outbox/waiting")
    assert len([file for file in outbox.iterdir() if file.name.startswith("reboot")]) == 2 * len(names)


def test_the_sandbox_refuses_every_way_out_that_a_plugin_tries(service: Service) -> None:
    service.machine.path("/tmp/of-others").write_text("x")
    service.mood("escaping", "escape")
    service.drop("escaping/a.png")
    service.result("escaping/a.png")
    service.logged(": change the clock")  # the last one
    tried = [line for line in service.log().splitlines() if line.startswith(("refused: ", "OUT: "))]
    ways = {line.split(": ")[1]: line for line in tried}
    if "does not support BPF/cgroup firewalling" in service.machine.run("journalctl", "--no-pager", "-o", "cat"):
        ways.pop("send beyond loopback")  # the kernel is too small for it, and systemd says so in its log
    assert len(ways) >= 11
    assert [line for line in ways.values() if line.startswith("OUT")] == []
    assert not service.machine.path("/etc/escaped").exists()


def test_doctor_finds_a_service_in_order_and_a_user_without_rights(service: Service) -> None:
    machine = service.machine
    command = ("/opt/dreamd/bin/dreamd", "doctor", "--user", "dreamd", "--config", "/etc/dreamd/config.yaml")
    assert "FIX" not in machine.run(*command)
    outbox = machine.path("/srv/dreamd/outbox")
    outbox.chmod(0o550)
    try:
        found = machine.run(*command, check=False)
    finally:
        outbox.chmod(0o2770)
    assert "FIX  user: dreamd may not write /srv/dreamd/outbox" in found


def test_another_tree_has_a_service_of_its_own(service: Service, wait: Callable[..., Any]) -> None:
    machine = service.machine
    machine.run("systemctl", "start", "dreamd@garden", timeout=200)
    picture = machine.path("/srv/dreamd/outbox/a.png").read_bytes()
    machine.path("/srv/dreamd-garden/inbox/a.png").write_bytes(picture)
    wait(machine.path("/srv/dreamd-garden/done/a.png").exists, "the other tree's picture")
    machine.run("systemctl", "stop", "dreamd@garden", timeout=200)


def test_prune_makes_room_beside_the_running_daemon(service: Service) -> None:
    machine = service.machine
    drop_in = machine.path("/etc/systemd/system/dreamd-prune.service.d/all.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text('[Service]\nEnvironment="PRUNE=--older-than 0d"\n')
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "dreamd-prune.service")
    assert not [file for file in machine.path("/srv/dreamd/done").rglob("*") if file.is_file()]
    assert machine.path("/srv/dreamd/outbox/a.png").exists()
    service.drop("after.png")
    service.result("after.png")


def test_an_uninstall_leaves_pictures_and_config_and_nothing_that_runs(service: Service, machine: Machine) -> None:
    repository = next(
        number
        for number in range(20)
        if machine.run("ls", f"/opt/packages/{number}/systemd", check=False).count("install.sh")
    )
    machine.run("/bin/sh", f"/opt/packages/{repository}/systemd/install.sh", "uninstall", timeout=200)
    assert machine.run("systemctl", "is-active", "dreamd", check=False).strip() == "inactive"
    assert machine.run("systemctl", "list-unit-files", "dreamd*", check=False).count("dreamd") == 0
    assert not machine.path("/opt/dreamd").exists()
    assert machine.path("/etc/dreamd/config.yaml").exists()
    assert machine.path("/srv/dreamd/outbox/a.png").exists()
