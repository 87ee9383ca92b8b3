"""The process beside the daemon that has Ray: `python -m dreamd_plugins.ray.bridge PARENT_PID`."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Mapping
from typing import Any

from dreamd.api import Cluster, run_bridge
from dreamd_plugins.ray.cluster import RayCluster

log = logging.getLogger(__name__)


class _Lines(io.TextIOBase):
    """Logs each line that is printed. Ray prints pages when a machine is gone, which the bridge says in a line."""

    def write(self, text: str) -> int:
        for line in filter(None, map(str.strip, text.splitlines())):
            log.debug("%s", line)
        return len(text)


def make_cluster(settings: Mapping[str, Any]) -> Cluster:
    """Make the cluster. What Ray prints goes to the log from now on, and only when that tells details."""
    sys.stdout = sys.stderr = _Lines()
    return RayCluster(settings)


if __name__ == "__main__":
    run_bridge(make_cluster)
