"""The session of one edge node as a host sees it (Sparkplug 3.0 §5): births, deaths, sequence numbers. Pure.

In: `Message`s as they arrive with their times, the passing of time, the loss of our own connection. Out: `Step`s, in the order in which
they are to be carried out: deliver a birth or data, record a loss or a death. `wanted`: why a rebirth is needed, or empty.
The rule for aliases: they are trusted while the sequence is unbroken since the birth that declared them. Before a birth, after a gap that
nobody filled, after a death or a lost connection of ours, only what carries its own name and type is taken (`trusted` False): a message
that we never saw may have been a birth that gave the alias to another metric.
A message out of order waits `REORDER_US` for those before it (§5.6.1). A death counts when its bdSeq is the birth's; without a bdSeq on
either side it counts. Repeats, which QoS 1 allows, are known by sequence number and bytes. Tolerated, and noted: a birth whose
sequence number is not 0, messages without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from adapters.mqtt.sparkplug.payload import Message, Verb

REORDER_US = 2_000_000
_HELD_MOST = 64
_REMEMBERED = 16
_NUMBERS = 256


class State(Enum):
    """What is known of the edge node."""

    UNKNOWN = auto()
    ONLINE = auto()
    OFFLINE = auto()


class Kind(Enum):
    """What is to be done."""

    BIRTH = auto()
    DATA = auto()
    DEATH = auto()  # of the message's device, or of the edge node and all its devices
    LOST = auto()  # messages of any device of this edge node


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. trusted: aliases hold. at_us: when the message came, or when the loss was given up on."""

    kind: Kind
    at_us: int
    message: Message | None = None
    trusted: bool = False
    words: str = ""


class EdgeSession:
    """One edge node."""

    def __init__(self) -> None:
        self.state = State.UNKNOWN
        self.wanted = ""
        self.ignored = 0  # repeats and stale deaths
        self.notes: list[str] = []  # quirks seen, each once
        self._next: int | None = None  # the sequence number that comes next; None: any
        self._bd_seq: int | None = None
        self._born: set[str] = set()
        self._held: dict[int, Message] = {}
        self._held_until_us = 0
        self._recent: dict[int, int] = {}  # sequence number -> hash of the newest messages as they came

    def born(self, device: str) -> bool:
        """True while the aliases of that device (empty: of the edge node itself) are trusted."""
        return self.state is State.ONLINE and device in self._born

    def forget(self, device: str) -> None:
        """The births seen so far say nothing to whoever reads this device from now on."""
        self._born.discard(device)
        if self.state is State.ONLINE:
            self.want("需要出生报文 (a device whose birth was not read)")

    def blind(self) -> None:
        """There was a birth of the edge node that nobody could read: nothing is known of any device."""
        self.state = State.UNKNOWN
        self.want("NBIRTH 无法解析 (a birth that cannot be decoded)")

    def want(self, why: str) -> None:
        """A rebirth is needed; the first reason stands."""
        self.wanted = self.wanted or why

    def take(self, message: Message) -> list[Step]:
        """A message has come."""
        if message.verb is Verb.NDEATH:
            return self._death(message)
        if message.verb is Verb.NBIRTH:
            return self._birth(message)
        if self.state is not State.ONLINE:
            self.state = State.UNKNOWN  # it is alive, whatever a death said
            self.want("没有见到出生报文 (data before a birth)")
            return [self._untrusted(message)]
        if message.seq is None:
            self._note("报文没有序号 (a message without a sequence number)")
            self._next = None
        elif self._next is not None and message.seq != self._next:
            return self._out_of_order(message, message.seq)
        return [self._in_order(message), *self._released()]

    def pass_time(self, now_us: int) -> list[Step]:
        """Give up on messages that did not come in time."""
        waiting = 0 < self._held_until_us - now_us <= REORDER_US  # more: the clock was set back
        return self._give_up(now_us) if self._held and not waiting else []

    def disconnect(self, now_us: int) -> list[Step]:
        """Our own connection is gone: whatever comes later may follow births we did not see."""
        steps = self._give_up(now_us) if self._held else []
        self.state, self.wanted, self._bd_seq = State.UNKNOWN, "", None
        self._born.clear()
        self._recent.clear()
        return steps

    def _birth(self, message: Message) -> list[Step]:
        if self.state is State.ONLINE and self._is_repeat(message):
            self.ignored += 1
            return []
        steps = []
        if self._held:  # of the session before this birth, or already of this one: nobody can say
            steps.append(self._lost(message.received_us, len(self._held)))
        if message.seq != 0:
            self._note(f"NBIRTH 的序号不是 0 (expected seq 0 in NBIRTH, found {message.seq})")
        self.state, self.wanted = State.ONLINE, ""
        self._next = None if message.seq is None else (message.seq + 1) % _NUMBERS
        self._bd_seq = message.bd_seq
        self._born = {""}
        self._held.clear()
        self._recent.clear()
        self._remember(message)
        return [*steps, Step(Kind.BIRTH, message.received_us, message, trusted=True)]

    def _death(self, message: Message) -> list[Step]:
        stale = None not in (self._bd_seq, message.bd_seq) and self._bd_seq != message.bd_seq
        if stale or self.state is State.OFFLINE:
            self.ignored += 1
            return []
        steps = self._give_up(message.received_us) if self._held else []
        self.state, self.wanted = State.OFFLINE, ""
        self._born.clear()
        return [*steps, Step(Kind.DEATH, message.received_us, message)]

    def _in_order(self, message: Message) -> Step:
        if message.seq is not None:
            self._next = (message.seq + 1) % _NUMBERS
            self._remember(message)
        if message.verb is Verb.DBIRTH:
            self._born.add(message.device)
            return Step(Kind.BIRTH, message.received_us, message, trusted=True)
        if message.verb is Verb.DDEATH:
            self._born.discard(message.device)
            return Step(Kind.DEATH, message.received_us, message)
        if self.born(message.device):
            return Step(Kind.DATA, message.received_us, message, trusted=True)
        self.want(f"{message.device[:64]!r}: 没有见到 DBIRTH (data of a device without a birth)")
        return self._untrusted(message)

    def _untrusted(self, message: Message) -> Step:
        kind = {Verb.DBIRTH: Kind.BIRTH, Verb.DDEATH: Kind.DEATH}.get(message.verb, Kind.DATA)
        return Step(kind, message.received_us, message)

    def _released(self) -> list[Step]:
        """The held messages whose turn it is."""
        steps = []
        while self._next is not None and self._next in self._held:
            steps.append(self._in_order(self._held.pop(self._next)))
        return steps

    def _out_of_order(self, message: Message, seq: int) -> list[Step]:
        if self._is_repeat(message) or (seq in self._held and self._held[seq].raw == message.raw):
            self.ignored += 1
            return []
        clash = seq in self._held
        if not self._held:
            self._held_until_us = message.received_us + REORDER_US
        if not clash:
            self._held[seq] = message
        if clash or len(self._held) > _HELD_MOST:
            steps = self._give_up(message.received_us)
            return [*steps, self._untrusted(message)] if clash else steps
        return []

    def _give_up(self, now_us: int) -> list[Step]:
        """What is missing does not come any more: the loss, then the held messages without their aliases."""
        first = self._next or 0
        order = sorted(self._held, key=lambda seq: (seq - first) % _NUMBERS)
        span = (order[-1] - first) % _NUMBERS + 1
        steps = [self._lost(now_us, max(1, span - len(order)))]
        steps += [self._untrusted(self._held[seq]) for seq in order]
        self._held.clear()
        self._recent.clear()
        self._born.clear()
        self.state = State.UNKNOWN
        self.want("序号缺失 (a gap in the sequence)")
        return steps

    def _lost(self, at_us: int, count: int) -> Step:
        return Step(Kind.LOST, at_us, words=f"序号缺失, 至少丢失 {count} 条报文 (messages lost: {count} or more)")

    def _note(self, words: str) -> None:
        if words not in self.notes and len(self.notes) < _REMEMBERED:
            self.notes.append(words)

    def _remember(self, message: Message) -> None:
        if message.seq is not None:
            self._recent.pop(message.seq, None)
            self._recent[message.seq] = hash(message.raw)
            if len(self._recent) > _REMEMBERED:
                del self._recent[next(iter(self._recent))]

    def _is_repeat(self, message: Message) -> bool:
        return message.seq is not None and self._recent.get(message.seq) == hash(message.raw)
