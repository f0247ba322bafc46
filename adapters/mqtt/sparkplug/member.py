"""One device of the register on an edge node: its rows in the making, its health, and until when a value is expected.

In: what its messages came to (`Taken`), deaths, the passing of intervals. Out: rows. Contact is a value of now: a historical one, a
metric that the register does not name, or a sign of life of the edge node alone is none.
"""

from __future__ import annotations

from typing import cast

import structlog

from adapters.batch import Batch, Outcome
from adapters.contract import Site
from adapters.health import Health
from adapters.mqtt.sparkplug.device import DeviceMetrics, Taken
from adapters.mqtt.sparkplug.payload import NAMESPACE, Verb
from adapters.rows import Rows
from adapters.template import Source
from config.connections import Sparkplug

log = structlog.get_logger(__name__)


class Member:
    """One device of the register: its rows in the making, its health, and until when a message is expected."""

    def __init__(self, source: Source, site: Site) -> None:
        self.source = source
        self.connection = cast(Sparkplug, source.connection)
        self.health = Health(source.device, site.clock, log, site.on_state)
        self.metrics = DeviceMetrics(source)
        self.rows = Rows(source.device, source.template)
        self.deadline_us = 0
        self.offline = ""  # why, after a death
        self.facts: dict[str, str] = {}
        self.expect(site.clock.now_us())

    @property
    def patience_s(self) -> float:
        """The declared interval and a little for the edge node's own clock."""
        return self.source.interval_s + max(1.0, self.source.interval_s * 0.1)

    @property
    def value_topic(self) -> str:
        """What the topic of its values begins with."""
        verb = Verb.DDATA if self.connection.device else Verb.NDATA
        return f"{NAMESPACE}/{self.connection.group}/{verb}/{self.connection.edge_node}"

    @property
    def silence(self) -> str:
        """Why there is a `silent` row."""
        where = "/".join(filter(None, (self.connection.group, self.connection.edge_node, self.connection.device)))
        return f"{where}: {self.source.interval_s} 秒内没有台账测点的消息 (no value within the declared interval)"

    def expect(self, now_us: int) -> None:
        """The next value is due within the interval."""
        self.deadline_us = now_us + int(self.patience_s * 1_000_000)

    def failed(self, outcome: Outcome, words: str, at_us: int) -> None:
        """Note the failure and add its row."""
        self.health.failed(outcome, words)
        self.rows.empty(at_us, outcome)

    def died(self, words: str, at_us: int) -> None:
        """A death: one row; a second one says nothing new."""
        if not self.offline:
            self.offline = words
            self.failed(Outcome.DISCONNECTED, words, at_us)

    def took(self, taken: Taken, at_us: int) -> None:
        """A message was taken: contact when it had a value of now, a loss when it had one that nobody can read."""
        if taken.fresh:
            self.offline = ""
            self.health.contact()
            self.expect(at_us)
        if taken.refused:
            self.rows.empty(at_us, Outcome.REJECTED)
            if not taken.unknown:  # else it waits for a birth: nothing is wrong with it
                self.health.failed(Outcome.REJECTED, taken.why)

    def batch(self) -> Batch | None:
        """The rows since the last time."""
        return self.rows.batch() if len(self.rows) else None
