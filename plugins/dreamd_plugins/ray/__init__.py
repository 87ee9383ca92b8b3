"""The executor `ray`: seats on the machines of a Ray cluster.

This file is what the daemon loads: it knows the parameters and no Ray. `bridge` is the process beside the daemon that
has Ray, `cluster` what it sees of the cluster, `agent` what runs on the cluster's machines, and `probe` looks for
`dreamd doctor` whether all of that can be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dreamd.api import BridgedExecutor, ClusterError, Executor, ExecutorContext, RegisterExecutor, hookimpl

DREAMD_API = 3

_PROBE_SECONDS = 60.0
"""The time that a look at the cluster may take, in seconds: Ray gives up after less."""


class RayExecutor(BridgedExecutor):
    """Has its seats on the machines of a Ray cluster."""

    def __init__(self, cluster: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Set up. `environment`: the variables of processes that use Ray."""
        super().__init__("dreamd_plugins.ray.bridge", cluster, environment)
        self._cluster = cluster
        self._ray_environment = environment

    def examine(self) -> str:
        """Look whether the cluster can be used; return what is there. Raises ClusterError with what to do."""
        command = [sys.executable, "-m", "dreamd_plugins.ray.probe", json.dumps(dict(self._cluster))]
        try:
            ended = subprocess.run(
                command, env=self._ray_environment, capture_output=True, timeout=_PROBE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{self._cluster['address']} does not answer in {_PROBE_SECONDS:g} s") from error
        lines = ended.stdout.decode(errors="replace").splitlines()
        if ended.returncode == 0 and lines:
            return lines[-1]
        raise ClusterError(lines[-1] if lines else f"Ray ended the look at it with code {ended.returncode}")


def make_executor(
    context: ExecutorContext,
    *,
    address: str,
    token_file: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    tls_ca: str | None = None,
    gpus: Annotated[float, Field(ge=0)] = 1.0,
    cpus: Annotated[float, Field(ge=0)] = 0.0,
    seats: Annotated[int, Field(ge=1)] | None = None,
    reconnect_seconds: Annotated[int, Field(ge=1)] = 600,
) -> Executor:
    """Have seats on the machines of a Ray cluster, one for each GPU. docs/scaling.md sets one up step by step.

    Args:
        address: the cluster's head, such as `10.0.0.1:6379`; this machine must be in the cluster too.
        token_file: the file with the cluster's token, where it was started with `RAY_AUTH_MODE=token`.
        tls_cert: the file with this machine's certificate, where the cluster speaks TLS; all three are needed then.
        tls_key: the file with the certificate's key.
        tls_ca: the file with the certificate of who signed those of all machines.
        gpus: how many of a machine's GPUs one seat takes; 0: seats dream on processors.
        cpus: how many of a machine's CPUs one seat takes, as Ray counts them; at least 1 where `gpus` is 0.
        seats: at most so many seats, and so many as are worth it are asked for where Ray's autoscaler starts machines;
            null: one wherever there is room now.
        reconnect_seconds: how long the cluster's head may be gone before Ray gives up what is under way.
    """
    if find_spec("ray") is None:
        raise ClusterError("the executor ray needs Ray: pip install 'dreamd[ray]'")
    if gpus == 0 and cpus == 0:
        raise ClusterError("workers.executor: a seat takes nothing with `gpus: 0`; say how many `cpus` it takes")
    files = {"token_file": token_file, "tls_cert": tls_cert, "tls_key": tls_key, "tls_ca": tls_ca}
    paths = {name: _path(context, name, file) for name, file in files.items() if file is not None}
    if 0 < len(paths.keys() - {"token_file"}) < 3:
        raise ClusterError("workers.executor: TLS needs all three: tls_cert, tls_key and tls_ca")
    cluster = {"address": address, "gpus": gpus, "cpus": cpus, "seats": seats}
    return RayExecutor(cluster, {**os.environ, **_variables(paths, reconnect_seconds)})


def _path(context: ExecutorContext, name: str, file: str) -> str:
    path = context.config.file.parent / Path(file).expanduser()
    if not os.access(path, os.R_OK):
        raise ClusterError(f"workers.executor.{name}: {path} cannot be read; it must be a file that this user can read")
    return str(path)


def _variables(paths: Mapping[str, str], reconnect_seconds: int) -> dict[str, str]:
    """Return the environment variables by which Ray is told all that is no argument of `ray.init`."""
    variables = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(reconnect_seconds),
        "RAY_AUTH_MODE": "disabled",
    }
    if "token_file" in paths:
        variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": paths["token_file"]}
    if "tls_cert" in paths:
        variables |= {
            "RAY_USE_TLS": "1",
            "RAY_TLS_SERVER_CERT": paths["tls_cert"],
            "RAY_TLS_SERVER_KEY": paths["tls_key"],
            "RAY_TLS_CA_CERT": paths["tls_ca"],
        }
    return variables


@hookimpl
def dreamd_executors(register: RegisterExecutor) -> None:
    """Bring `ray`."""
    register("ray", make_executor)
