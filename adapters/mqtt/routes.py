"""Which device, and which of its points, a topic stands for; and what is to be subscribed to.

In: the sources of one broker. Out: for a topic its routes, in one dictionary look-up however many devices there are; the subscriptions
with their QoS. `{device}` is the device's id; `{point}` each point's name, so that a device with a hundred points has a hundred topics
and no wildcard brings what nobody asked for. Devices of one topic share one subscription, of their highest QoS; it is a shared
subscription ($share/<group>/…, MQTT 5 §4.8.2) when all of them say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from adapters.template import Source
from config.connections import Mqtt


@dataclass(frozen=True, slots=True)
class Route:
    """A device, and the point when the topic is one point's."""

    device: str
    point: int | None = None


class Routes:
    """The topics of one broker's devices."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.of: dict[str, list[Route]] = {}
        self.status: dict[str, list[str]] = {}
        shares: dict[str, set[str]] = {}
        qos: dict[str, int] = {}
        for source in sources:
            connection = cast(Mqtt, source.connection)
            if connection.status_topic:
                self.status.setdefault(connection.status_topic.replace("{device}", source.device), []).append(
                    source.device
                )
            for topic, point in topics_of(source):
                self.of.setdefault(topic, []).append(Route(source.device, point))
                shares.setdefault(topic, set()).add(connection.share)
                qos[topic] = max(qos.get(topic, 0), connection.qos)
        self._filter = {t: _filter(t, groups) for t, groups in shares.items()}
        self.subscriptions = dict.fromkeys(self.status, 1) | {self._filter[t]: q for t, q in qos.items()}

    def filters(self, device: Source) -> list[str]:
        """What is subscribed to for this device."""
        return [self._filter[t] for t, _ in topics_of(device) if t in self._filter]

    def topics(self) -> set[str]:
        """Every topic that means something here."""
        return self.of.keys() | self.status.keys()


def topics_of(source: Source) -> list[tuple[str, int | None]]:
    """A device's topics: its own, or one for each point."""
    connection = cast(Mqtt, source.connection)
    topic = connection.topic.replace("{device}", source.device)
    if "{point}" not in topic:
        return [(topic, None)]
    return [(topic.replace("{point}", p.name), i) for i, p in enumerate(source.points)]


def _filter(topic: str, groups: set[str]) -> str:
    group = next(iter(groups)) if len(groups) == 1 else ""
    return f"$share/{group}/{topic}" if group else topic
