"""One edge node and the register's devices on it: messages -> rows, health and identity of each.

In: messages, the passing of time, the loss of our connection. Out: rows gathered in each `Member`; identities; dead letters.
A gap in the edge node's sequence is an `overflow` row of each of its devices: whose messages are missing nobody can say. A message with
values that no birth explains is a `rejected` row of its device; a death a `disconnected` row.
Who a device is must be known before its first row: what comes before its first birth waits for it, as long as that birth can be asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import structlog

from adapters.batch import Batch, Outcome
from adapters.contract import Identity
from adapters.deadletter import Letter
from adapters.mqtt.sparkplug.host import Throttle
from adapters.mqtt.sparkplug.member import Member
from adapters.mqtt.sparkplug.payload import Message, Undecodable, Verb, decode
from adapters.mqtt.sparkplug.session import EdgeSession, Kind, Step

log = structlog.get_logger(__name__)

_ORIGINS = ("simulated", "replay")
_PROPERTIES = "Properties/"
_FACTS_MOST = 64
_EARLY_MOST = 256
_EARLY_US = 3_000_000


class EdgeNode:
    """One edge node."""

    def __init__(self, group: str, name: str) -> None:
        self.group, self.name = group, name
        self.session = EdgeSession()
        self.throttle = Throttle()
        self.members: dict[str, Member] = {}  # by the register's id
        self.may_ask = False
        self.identities: list[Identity] = []
        self.letters: list[Letter] = []
        self._by_device: dict[str, tuple[Member, ...]] = {}
        self._facts: dict[str, str] = {}
        self._known: set[str] = set()  # devices of which there was a birth in this run, or will be none
        self._early: list[Step] = []  # what waits for its first birth
        self._early_until_us = 0
        self._noted = 0

    def apply(self, members: Sequence[Member]) -> None:
        """Take over the members of a newer register; those that are new know no birth yet."""
        for member in members:
            if self.members.get(member.source.device) is not member:
                self.session.forget(member.connection.device)
        self.members = {m.source.device: m for m in members}
        devices = {m.connection.device for m in members}
        self._by_device = {d: tuple(m for m in members if m.connection.device == d) for d in devices}
        self.may_ask = all(m.connection.rebirth for m in members)

    def take(self, topic: str, verb: Verb, device: str, raw: bytes, size: int, now_us: int) -> None:
        """A message has come. What cannot be decoded goes to the dead letters and is a `rejected` row of its device."""
        try:
            message = decode(verb, device, raw, size, now_us)
        except Undecodable as err:
            concerned = tuple(self._concerned(verb, device))
            self.letters.append(Letter(topic, raw, size, str(err), tuple(m.source.device for m in concerned)))
            for member in concerned:
                member.failed(Outcome.REJECTED, f"{topic}: {err}", now_us)
            if verb is Verb.NBIRTH:
                self.session.blind()
            elif verb is Verb.DBIRTH:
                self.session.forget(device)
            return
        self._carry_out(self.session.take(message))

    def pass_time(self, now_us: int) -> None:
        """Give up on messages and births that did not come."""
        self._carry_out(self.session.pass_time(now_us))
        if self._early and not 0 < self._early_until_us - now_us <= _EARLY_US:  # more: the clock was set back
            self._release()

    def disconnect(self, now_us: int) -> None:
        """Our connection to the broker is gone."""
        self._carry_out(self.session.disconnect(now_us))
        self._release()
        for member in self.members.values():
            member.offline = ""

    def batches(self) -> Iterable[Batch]:
        """The rows of each member since the last time."""
        for member in self.members.values():
            batch = member.batch()
            if batch is not None:
                yield batch

    def _concerned(self, verb: Verb, device: str) -> Iterable[Member]:
        """The members a message is about: a birth or death of the edge node concerns all of them."""
        if verb in (Verb.NBIRTH, Verb.NDEATH):
            return self.members.values()
        return self._by_device.get(device, ())

    def _carry_out(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if step.kind is Kind.LOST:
                log.warning("序号缺失 messages are missing", group=self.group, edge_node=self.name, why=step.words)
                for member in self.members.values():
                    member.rows.empty(step.at_us, Outcome.OVERFLOW)
            elif step.message is not None and step.kind is Kind.DEATH:
                self._death(step.message)
            elif step.message is not None:
                self._deliver(step, step.message)
        for words in self.session.notes[self._noted :]:
            log.info("边缘节点的特点 a quirk of an edge node", group=self.group, edge_node=self.name, what=words)
        self._noted = len(self.session.notes)

    def _death(self, message: Message) -> None:
        self._release()
        words = f"{self.group}/{self.name}: 边缘节点已离线 (NDEATH)"
        if message.verb is Verb.DDEATH:
            words = f"{self.group}/{self.name}/{message.device}: 设备已离线 (DDEATH)"
        for member in self._concerned(message.verb, message.device):
            member.died(words, message.received_us)

    def _deliver(self, step: Step, message: Message) -> None:
        if step.trusted and step.kind is Kind.BIRTH:
            self._learn_facts(message)
            self._release(message.device)
        elif not step.trusted and self.may_ask and message.device in self._by_device.keys() - self._known:
            if not self._early:
                self._early_until_us = step.at_us + _EARLY_US
            self._early.append(step)
            if len(self._early) > _EARLY_MOST:
                self._release()
            return
        self._hand_over(step, message)

    def _release(self, device: str | None = None) -> None:
        """Hand over what waited for the birth of a device (None: of any)."""
        early = [s for s in self._early if s.message is not None and device in (None, s.message.device)]
        self._early = [s for s in self._early if s not in early]
        self._known |= {device} if device is not None else {s.message.device for s in early if s.message is not None}
        for step in early:
            if step.message is not None:
                self._hand_over(step, step.message)

    def _hand_over(self, step: Step, message: Message) -> None:
        """The rows of a birth or of data."""
        for member in self._by_device.get(message.device, ()):
            metrics = member.metrics
            take = metrics.birth if step.kind is Kind.BIRTH else metrics.data
            taken = take(message, member.rows, trusted=step.trusted)
            member.took(taken, message.received_us)
            if taken.unknown and step.trusted:
                self.session.want(taken.why)
            if taken.refused and (step.trusted or not taken.unknown):  # else it is no rubbish, it came before its birth
                topic = "/".join(filter(None, (self.group, message.verb, self.name, message.device)))
                raw = message.raw
                self.letters.append(Letter(topic, raw, len(raw), taken.why, (member.source.device,)))

    def _learn_facts(self, message: Message) -> None:
        """Who they say they are: metrics named Properties/… of the births; an `origin` among them is the peer's announcement."""
        facts = _facts_in(message.payload)
        if message.device:
            for member in self._by_device.get(message.device, ()):
                member.facts = facts
                self.identities.append(self._identity(member))
            return
        self._facts = facts
        self.identities += [self._identity(member) for member in self._by_device.get("", ())]

    def _identity(self, member: Member) -> Identity:
        own = member.facts if member.connection.device else {}
        origin = own.get("origin", self._facts.get("origin", ""))
        facts = {f"edge_node/{k}": v for k, v in self._facts.items() if k != "origin"}
        facts |= {k: v for k, v in own.items() if k != "origin"}
        facts |= {"group": self.group, "edge_node": self.name}
        return Identity(member.source.device, tuple(sorted(facts.items())), origin if origin in _ORIGINS else "live")


def _facts_in(payload: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for metric in payload.metrics:
        name, value = metric.name, metric.string_value
        if isinstance(name, str) and isinstance(value, str) and name.startswith(_PROPERTIES) and value:
            key = name.removeprefix(_PROPERTIES)[:64]
            found["origin" if key.casefold() == "origin" else key] = value[:256]
            if len(found) >= _FACTS_MOST:
                break
    return found
