"""Whether dreamd lives, and whether it can dream now: what `/healthz` and `/readyz` answer, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_AT_WORK = ("idle", "busy")
"""The states of a worker that can dream at once."""


def not_alive(values: Mapping[str, Any] | None) -> list[str]:
    """Say why the daemon is not alive; nothing when it is. `values` is the snapshot as `snapshot.read` gives it."""
    if values is None:
        return ["dreamd has not said anything yet"]
    return ["the daemon is stopped"] if values["state"] == "stopped" else []


def not_ready(values: Mapping[str, Any] | None) -> list[str]:
    """Say why a picture that is dropped now would not be dreamed now; nothing when it would be."""
    reasons = not_alive(values)
    if values is None or reasons:
        return reasons
    if values["state"] != "running":
        reasons.append(f"the daemon is {values['state']}")
    if values["watching"].startswith(("waiting", "stopped")):
        reasons.append(f"the inbox is not watched: {values['watching']}")
    if "." in values["paused"]:
        reasons.append("everything is paused")
    if values["fleet_problem"]:
        reasons.append(f"no workers can be had: {values['fleet_problem']}")
    return reasons + _worker_reasons(values["workers"])


def _worker_reasons(workers: list[dict[str, Any]]) -> list[str]:
    """Say why no worker can dream. One that is unloaded is started again for the next picture."""
    if not workers or any(worker["state"] in _AT_WORK or _is_unloaded(worker) for worker in workers):
        return []
    return [_name(worker) + (f": {worker['error']}" if worker["error"] else "") for worker in workers]


def _name(worker: Mapping[str, Any]) -> str:
    """Say which worker it is and what it does, in plain words: one that starts has not chosen its device yet."""
    place = "" if worker["device"].startswith("auto") else f" on {worker['device']}"
    return f"the worker{place} is {'getting ready' if worker['state'] == 'starting' else worker['state']}"


def _is_unloaded(worker: Mapping[str, Any]) -> bool:
    return worker["state"] == "stopped" and not worker["error"]
