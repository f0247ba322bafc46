"""The topics of one session: those wanted, those the broker refused, and those an earlier run left behind with the broker.

In: what the owner wants, what the broker said. Out: what is to be asked for and what to be given up after a connection.
A session that stays keeps its subscriptions while we are away: topics that a newer register no longer names would go on coming. They
stand in a file of the data folder's `state/mqtt/`, which is disposable: without it they are given up when their first message comes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog

from adapters.mqtt.reasons import subscription_words

log = structlog.get_logger(__name__)


class Subscriptions:
    """Wanted topics with their QoS. `denied`: topic -> why the broker would not have it."""

    def __init__(self, where: str, state: Path | None) -> None:
        self.wanted: dict[str, int] = {}
        self.denied: dict[str, str] = {}
        self._where = where
        self._state = state
        self._asked: dict[int, Sequence[tuple[str, int]]] = {}
        self._file: Path | None = None
        self._left: set[str] = set()

    def remember(self, client_id: str) -> None:
        """The session is this one: what did an earlier run of it subscribe to?"""
        if self._state is None:
            return
        name = hashlib.sha256(f"{self._where} {client_id}".encode()).hexdigest()[:16]
        self._file = self._state / "mqtt" / f"{name}.json"
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._left = {str(topic) for topic in json.loads(self._file.read_bytes())}

    def leftovers(self) -> list[str]:
        """Topics of an earlier run that nobody wants now; given up once."""
        found, self._left = sorted(self._left - self.wanted.keys()), set()
        return found

    def note(self) -> None:
        """Write down what the session holds."""
        if self._file is None:
            return
        temporary = self._file.with_suffix(".tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(sorted(self.wanted), ensure_ascii=False))
            temporary.replace(self._file)
        except OSError as err:
            log.warning("订阅清单写不进 state/ the topics could not be noted", file=str(self._file), why=str(err))

    def asked(self, mid: int, topics: Sequence[tuple[str, int]]) -> None:
        """A SUBSCRIBE went out."""
        self._asked[mid] = topics

    def answered(self, mid: int, codes: Iterable[int]) -> None:
        """Its SUBACK came: 0-2 the QoS granted, 0x80 and above a refusal (§3.9.3)."""
        for (topic, qos), code in zip(self._asked.pop(mid, ()), codes, strict=False):
            if code >= 0x80:
                self.denied[topic] = subscription_words(code)
                log.warning("代理不允许订阅 the broker refuses a topic", broker=self._where, topic=topic, code=code)
                continue
            self.denied.pop(topic, None)
            if code < qos:
                log.warning(
                    "代理只给较低的 QoS, 断线时可能丢消息 the broker grants a lower QoS, messages may be lost",
                    broker=self._where,
                    topic=topic,
                    asked=qos,
                    granted=code,
                )

    def forget_questions(self) -> None:
        """The connection is gone: no answer will come."""
        self._asked.clear()
