"""A Sparkplug B edge node for tests: paho and our own table of messages (npm sparkplug-client is the other stack).

What it says it sent stands in `sent`: (device, metric, timestamp in ms, value), in order.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from adapters.mqtt.sparkplug.metric import DataType
from adapters.mqtt.sparkplug.wire import PayloadMessage

FIELD = {
    **dict.fromkeys((DataType.INT8, DataType.INT16, DataType.INT32, DataType.UINT8, DataType.UINT16), "int_value"),
    **dict.fromkeys((DataType.INT64, DataType.UINT32, DataType.UINT64, DataType.DATETIME), "long_value"),
    **dict.fromkeys((DataType.STRING, DataType.TEXT, DataType.UUID), "string_value"),
    **dict.fromkeys((DataType.BYTES, DataType.FILE), "bytes_value"),
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
}
WIDTH = {"int_value": 1 << 32, "long_value": 1 << 64}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def put(metric: Any, datatype: int, value: Any) -> None:
    """Set the value as the specification says: signed numbers as two's complement."""
    if value is None:
        metric.is_null = True
        return
    field = FIELD[DataType(datatype)]
    setattr(metric, field, value % WIDTH[field] if field in WIDTH else value)


class Edge:
    """One edge node. metrics: device ("" is the node itself) -> [(name, data type, value)]."""

    def __init__(
        self,
        metrics: dict[str, list[tuple[str, int, Any]]],
        *,
        group: str = "G",
        name: str = "E",
        aliases: bool = True,
        bd_seq: int | None = 0,
        births: bool = True,
    ) -> None:
        self.group, self.name, self.metrics, self.aliases = group, name, metrics, aliases
        self.births = births  # on connecting, and when asked
        self.bd_seq = bd_seq
        self.seq = 0
        self.commands: list[Any] = []
        self.sent: list[tuple[str, str, int, Any]] = []
        self.alias: dict[tuple[str, str], int] = {}
        self.first_seq = 0
        self._lock = threading.RLock()
        self._born = threading.Event()
        self._client: paho.Client | None = None

    @property
    def ready(self) -> bool:
        """True once it has connected, and until it leaves."""
        return self._client is not None and self._born.is_set()

    def topic(self, verb: str, device: str = "") -> str:
        return f"spBv1.0/{self.group}/{verb}/{self.name}" + (f"/{device}" if device else "")

    def connect(self, port: int) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.reconnect_delay_set(1, 1)
        client.will_set(self.topic("NDEATH"), self.death(), qos=1)
        client.on_connect = lambda *_: self._connected(client)
        client.on_message = lambda _c, _d, message: self._commanded(message.payload)
        self._client = client
        client.connect("127.0.0.1", port)
        client.loop_start()
        if not self._born.wait(10):
            raise TimeoutError("the edge node did not connect")

    def _connected(self, client: paho.Client) -> None:
        client.subscribe(self.topic("NCMD"), 1)
        if self.births:
            self.birth()
        self._born.set()

    def _commanded(self, raw: bytes) -> None:
        payload = PayloadMessage.FromString(raw)
        self.commands.append(payload)
        if self.births and any(m.name == "Node Control/Rebirth" and m.boolean_value for m in payload.metrics):
            self.birth()

    def death(self) -> bytes:
        payload = PayloadMessage(timestamp=now_ms())
        if self.bd_seq is not None:
            payload.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=self.bd_seq)
        return bytes(payload.SerializeToString())

    def birth(self) -> None:
        """NBIRTH and a DBIRTH of each device; aliases are numbered anew."""
        with self._lock:
            self.seq = self.first_seq
            self.alias = {
                (device, name): number
                for number, (device, name) in enumerate((d, m[0]) for d, ms in self.metrics.items() for m in ms)
            }
            self.publish("NBIRTH", "", self.birth_payload(""))
            for device in self.metrics:
                if device:
                    self.publish("DBIRTH", device, self.birth_payload(device))

    def birth_payload(self, device: str) -> Any:
        payload = PayloadMessage(timestamp=now_ms())
        if not device:
            if self.bd_seq is not None:
                payload.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=self.bd_seq, timestamp=now_ms())
            payload.metrics.add(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, boolean_value=False)
        for name, datatype, value in self.metrics.get(device, ()):
            metric = payload.metrics.add(name=name, datatype=datatype, timestamp=now_ms())
            put(metric, datatype, value)
            if self.aliases:
                metric.alias = self.alias[device, name]
            self.sent.append((device, name, metric.timestamp, value))
        return payload

    def data(self, device: str, values: dict[str, Any], at_ms: int = 0, *, historical: bool = False) -> None:
        """NDATA or DDATA: by alias without a type, or by name with its type."""
        with self._lock:
            self.publish("DDATA" if device else "NDATA", device, self.data_payload(device, values, at_ms, historical))

    def data_payload(self, device: str, values: dict[str, Any], at_ms: int = 0, historical: bool = False) -> Any:
        payload = PayloadMessage(timestamp=now_ms())
        types = {name: datatype for name, datatype, _ in self.metrics[device]}
        for name, value in values.items():
            metric = payload.metrics.add(timestamp=at_ms or now_ms())
            if self.aliases:
                metric.alias = self.alias[device, name]
            else:
                metric.name, metric.datatype = name, types[name]
            if historical:
                metric.is_historical = True
            put(metric, types[name], value)
            self.sent.append((device, name, metric.timestamp, value))
        return payload

    def skip(self, count: int = 1) -> None:
        """Messages that were sent and never arrived."""
        self.seq = (self.seq + count) % 256

    def publish(self, verb: str, device: str, payload: Any, *, seq: int | None = None, retain: bool = False) -> bytes:
        """Number the message (unless `seq` says otherwise) and send it."""
        payload.seq = self.seq if seq is None else seq
        if seq is None:
            self.seq = (self.seq + 1) % 256
        raw = bytes(payload.SerializeToString())
        self.send(self.topic(verb, device), raw, retain=retain)
        return raw

    def send(self, topic: str, raw: bytes, *, retain: bool = False) -> None:
        assert self._client is not None
        self._client.publish(topic, raw, qos=1, retain=retain)

    def leave(self) -> None:
        """With a death certificate and a goodbye."""
        if self._client is not None:
            self._client.publish(self.topic("NDEATH"), self.death(), qos=1).wait_for_publish(5)
        self.close()

    def close(self) -> None:
        """With a goodbye, which takes the will along."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def vanish(self) -> None:
        """Without a word: the broker publishes the will."""
        client, self._client = self._client, None
        if client is not None:
            client.loop_stop()
            sock = client.socket()
            if sock is not None:
                sock.close()
