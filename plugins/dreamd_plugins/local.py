"""The executor `local`: one worker process a device, on this machine."""

from __future__ import annotations

from dreamd.api import LocalExecutor, RegisterExecutor, hookimpl


@hookimpl
def dreamd_executors(register: RegisterExecutor) -> None:
    """Bring `local`."""
    register("local", LocalExecutor)
