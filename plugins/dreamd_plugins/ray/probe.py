"""What `dreamd doctor` asks: `python -m dreamd_plugins.ray.probe CLUSTER`. It prints a line; trouble ends it with 1."""

from __future__ import annotations

import json
import sys

from dreamd.api import ClusterError
from dreamd_plugins.ray.cluster import RayCluster


def main() -> None:
    """Connect, and print what is there, or what is wrong and what to do."""
    settings = json.loads(sys.argv[1])
    cluster = RayCluster(settings)
    try:
        cluster.connect()
        places = cluster.places()
    except ClusterError as error:
        print(error)
        sys.exit(1)
    if not places:
        print(cluster.missing)
        sys.exit(1)
    nodes = {place.node for place in places}
    print(f"Ray at {settings['address']}: machines: {len(nodes)}, seats: {len(places)}")


if __name__ == "__main__":
    main()
