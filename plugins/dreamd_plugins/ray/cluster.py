"""A Ray cluster, as the bridge uses it: which machines there are, and actors on them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dreamd.api import ClusterError, Host, Opening, Place
from dreamd_plugins.ray.actors import GROUPS, ActorHost
from dreamd_plugins.ray.agent import Agent
from dreamd_plugins.ray.connection import connect

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""The seconds between two looks at the cluster's machines."""

_SILENT_SECONDS = 15.0
"""The time after which a head that does not answer is told of, in seconds."""


@dataclass(frozen=True)
class _Slot:
    """Where an actor goes: the machine as Ray knows it now."""

    place: Place
    node_id: str


class RayCluster:
    """The cluster. Whatever waits for its head waits in a thread of its own: seats go on when the head is away.

    Attributes:
        missing: what is told while no machine has room for a seat.
    """

    def __init__(self, cluster: Mapping[str, Any]) -> None:
        """Set up, by what the executor was configured with."""
        self._address: str = cluster["address"]
        self._gpus: float = cluster["gpus"]
        self._cpus: float = cluster["cpus"]
        self._most: int | None = cluster["seats"]
        needs = f"{self._gpus:g} GPUs" if self._gpus else f"{self._cpus:g} CPUs"
        self.missing = (
            f"no machine of the Ray cluster at {self._address} has {needs} for a seat: "
            f"`ray start --address={self._address}` on one that has"
        )
        self._slots: dict[str, _Slot] = {}
        self._seen_at = 0.0
        self._wanted = 0
        self._openings: tuple[Opening, Any] | None = None

    def connect(self) -> None:
        """Connect. Raises ClusterError: it cannot be reached, with why and what to do."""
        connect(self._address)
        self._see()
        threading.Thread(target=self._watch, name="machines", daemon=True).start()

    def places(self) -> list[Place]:
        """Return where seats can be opened now. Raises ClusterError when the head has not answered for a while."""
        if time.monotonic() > self._seen_at + _SILENT_SECONDS:
            raise ClusterError(
                f"the head of the Ray cluster, {self._address}, does not answer; what is under way goes on meanwhile"
            )
        return [slot.place for slot in self._slots.values()][: self._most]

    def ask_for(self, seats: int) -> None:
        """Say how many seats are wanted, for Ray's autoscaler."""
        self._wanted = min(seats, self._most) if self._most is not None else 0

    def open(self, place: Place, opening: Opening) -> Host:
        """Open a seat. Raises ClusterError when its machine is gone meanwhile."""
        if (slot := self._slots.get(place.seat)) is None:
            raise ClusterError(f"{place.node} is gone")
        if self._openings is None or self._openings[0] is not opening:
            self._openings = opening, ray.put(opening)  # it goes to each machine once
        actor = ray.remote(num_gpus=self._gpus, num_cpus=self._cpus, max_restarts=0, concurrency_groups=GROUPS)(Agent)
        strategy = NodeAffinitySchedulingStrategy(slot.node_id, soft=False)
        handle = actor.options(scheduling_strategy=strategy).remote(self._openings[1], place.device, place.sharers)
        return ActorHost(handle, place.node)

    def close(self, host: Host) -> None:
        """End an actor at once."""
        assert isinstance(host, ActorHost)
        try:
            ray.kill(host.actor)
        except RayError as error:
            log.debug("an actor is gone already: %s", error)

    # Its thread

    def _watch(self) -> None:
        asked = -1  # what a bridge before this one asked for may still count
        needs = {name: need for name, need in (("GPU", self._gpus), ("CPU", self._cpus)) if need}
        while True:
            time.sleep(_LOOK_SECONDS)
            try:
                self._see()
                if self._most is not None and self._wanted != asked:
                    asked = self._wanted
                    request_resources(bundles=[needs] * asked)
            except (RayError, RuntimeError, OSError) as error:
                log.debug("the head does not answer: %s", error)

    def _see(self) -> None:
        """Look which machines there are, and how many seats each has room for."""
        slots: dict[str, _Slot] = {}
        alive = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: str(node["NodeID"]))
        names = Counter(str(node["NodeName"]) for node in alive)
        for node in alive:
            name = str(node["NodeName"])
            if names[name] > 1:
                name = f"{name}~{node['NodeID'][:6]}"
            count = self._room_of(node["Resources"])
            for number in range(count):
                place = Place(
                    seat=f"{name}/{number}", node=name, device="auto:0" if self._gpus else "cpu", sharers=count
                )
                slots[place.seat] = _Slot(place, node["NodeID"])
        self._slots = dict(sorted(slots.items()))
        self._seen_at = time.monotonic()

    def _room_of(self, resources: Mapping[str, float]) -> int:
        needs = {"GPU": self._gpus, "CPU": self._cpus}
        return min(int(resources.get(name, 0.0) / need) for name, need in needs.items() if need)
