"""The process beside the daemon that has Ray: `python -m dreamd_plugins.ray.bridge PARENT_PID`."""

from __future__ import annotations

from dreamd.api import run_bridge
from dreamd_plugins.ray.cluster import RayCluster

if __name__ == "__main__":
    run_bridge(RayCluster)
