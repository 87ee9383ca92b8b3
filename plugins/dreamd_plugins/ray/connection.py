"""Connects to a Ray cluster, and says in words why that cannot be done: Ray itself says "failed to connect"."""

from __future__ import annotations

import os
import platform
import socket
from importlib import import_module
from pathlib import Path

import ray
from ray.exceptions import AuthenticationError, RayError

from dreamd.api import ClusterError

_GCS = import_module("ray._raylet")
"""Ray's own way to ask a head something before it connects; its stubs leave out the class."""

_TRY_SECONDS = 5
"""The time that the head has to answer at all, in seconds."""


def connect(address: str) -> None:
    """Connect this process to a cluster.

    Args:
        address: the head's, `HOST:PORT`.

    Raises:
        ClusterError: it cannot be reached or used, with why and what to do.
    """
    _check_address(address)
    _check_answer(address)
    try:
        ray.init(
            address=address,
            namespace="dreamd",
            log_to_driver=False,
            logging_level="ERROR",
            configure_logging=False,
        )
    except (RayError, RuntimeError, ConnectionError, ValueError, OSError) as error:
        ray.shutdown()
        raise ClusterError(_explained(address, str(error))) from error


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"{address!r} is no address of a Ray cluster's head; write HOST:PORT, such as 10.0.0.1:6379")
    try:
        with socket.create_connection((host, int(port)), timeout=_TRY_SECONDS):
            pass
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster at {address} ({error.strerror or error}): is its head running "
            f"(`ray start --head --port={port}`), is the address right, and is the port open from here?"
        ) from error


def _check_answer(address: str) -> None:
    """Ask the head for anything at all. It answers to nobody without its token, and to TLS by TLS alone."""
    try:
        _GCS.GcsClient(address=address).check_alive([], timeout=_TRY_SECONDS)
    except AuthenticationError as error:
        raise ClusterError(_token_advice(address)) from error
    except (RayError, RuntimeError, OSError, ValueError) as error:
        speaks = "with" if os.environ.get("RAY_USE_TLS") == "1" else "without"
        raise ClusterError(
            f"something listens at {address} and does not answer as a Ray head does: is it another program's port, or "
            f"does the cluster use TLS otherwise than here, {speaks} (tls_cert, tls_key, tls_ca)?"
        ) from error


def _token_advice(address: str) -> str:
    file = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if os.environ.get("RAY_AUTH_MODE") != "token" or file is None:
        return f"the Ray cluster at {address} wants a token: name the file that holds it as workers.executor.token_file"
    size = Path(file).stat().st_size
    return (
        f"the Ray cluster at {address} does not take the token in {file} ({size} bytes): it must be the very bytes "
        "that the head was started with, by RAY_AUTH_TOKEN_PATH"
    )


def _explained(address: str, text: str) -> str:
    """Say what Ray's own words mean."""
    if "ersion mismatch" in text:
        here = f"Ray {ray.__version__} and Python {platform.python_version()}"
        lines = [line.strip() for line in text.splitlines() if "Ray:" in line or "Python:" in line]
        there = ", ".join(lines[:2])
        return (
            f"the Ray cluster at {address} is of other versions ({there}) than this machine ({here}): install the same "
            "Ray and the same Python, to the last number, on every machine"
        )
    if "node_ip_address" in text or "raylet" in text.lower():
        return (
            f"this machine is not in the Ray cluster at {address}, and what talks to it must be: "
            f"`ray start --address={address} --num-cpus=0 --num-gpus=0` here (or the head with these)"
        )
    return f"the Ray cluster at {address} cannot be used: {' '.join(text.split())[:200]}"
