"""The backbone `tiny`, of a few hundred numbers, and the schedule `moody`, which does what one does not expect."""

import ctypes
import os
import socket
import time
from pathlib import Path

from torch import nn

from dreamd.api import Backbone, hookimpl

GATE = Path("/srv/dreamd/outbox/gate")
CLONE_NEWUSER = 0x10000000


def tiny(name):
    """Two convolutions."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    return Backbone(
        network=network, layers={"conv1": "0", "relu1": "1", "conv2": "2"}, default_layer="relu1", min_side=1
    )


def moody(image, ascend, *, mood: str = "calm"):
    """One ascent; before it, what the mood says.

    Args:
        mood: calm, wait, stall or escape.
    """
    MOODS[mood]()
    ascend.plan(1)
    yield ascend(image)


def _wait():
    while not GATE.exists():
        time.sleep(0.05)


def _stall():
    time.sleep(3600)


def _escape():
    """Tries every way out, and says of each what became of it."""
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
        except OSError as error:
            print(f"refused: {name}: {error}", flush=True)
        else:
            print(f"OUT: {name}", flush=True)


def _new_namespace():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _send_beyond_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(b"x", ("192.0.2.1", 9))


ATTEMPTS = {
    "write /etc": lambda: Path("/etc/escaped").write_text("x"),
    "write its own code": lambda: Path("/opt/dreamd/escaped").write_text("x"),
    "read /tmp of others": lambda: Path("/tmp/of-others").read_text(),
    "read /home": lambda: Path("/home/secret").read_text(),
    "read /root": lambda: list(Path("/root").iterdir()),
    "a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "send beyond loopback": _send_beyond_loopback,
    "a new namespace": _new_namespace,
    "make a setuid file": lambda: GATE.parent.chmod(0o4755),
    "signal init": lambda: os.kill(1, 0),
    "change the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
}
MOODS = {"calm": lambda: None, "wait": _wait, "stall": _stall, "escape": _escape}


@hookimpl
def dreamd_backbones(register):
    register("tiny", tiny)


@hookimpl
def dreamd_schedules(register):
    register("moody", moody)
