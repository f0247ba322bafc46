"""连接: how a device is reached, one model per protocol. Secrets never stand here: a key names an environment variable or a file.

In: the `connection` table of a device. Out: frozen models. `link` is what devices must share to share one connection: the fields of
`LINK`; the other fields are each device's own. Paths of certificates and keys are relative to the data folder's `keys/`.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from config.model import Model, Wrong
from config.points import PATH

_OPC_URL = r"^opc\.tcp://[^\s/]+(:\d+)?(/.*)?$"
_TOPIC = r"^[^#+]*$"
_PORT = re.compile(r"^[a-z.]+://[^\s/:]+:(\d+)")
_REGISTERS = re.compile(r"^(coil|discrete_input|holding_register|input_register):(\d{1,5})-(\d{1,5})$")


class _Link(Model):
    LINK: ClassVar[tuple[str, ...]] = ()

    @property
    def link(self) -> tuple[object, ...]:
        """The values that devices must have in common to share one connection."""
        return tuple(getattr(self, name) for name in self.LINK)


class OpcUa(_Link):
    """Connection of an OPC UA server (IEC 62541). `mode` poll is for servers that refuse subscriptions.

    backups: endpoints of redundant servers, tried in order (IEC 62541-4 §6.6). user_certificate and user_key: X.509 user.
    server_certificate pins the server's own; without it the trust list of `keys/opcua/` decides.
    """

    LINK: ClassVar[tuple[str, ...]] = (
        "protocol", "endpoint", "backups", "policy", "security_mode", "server_certificate",
        "username", "password_env", "user_certificate", "user_key", "session_timeout_s",
    )  # fmt: skip

    protocol: Literal["opcua"]
    endpoint: str = Field(pattern=_OPC_URL)
    backups: tuple[Annotated[str, Field(pattern=_OPC_URL)], ...] = ()
    mode: Literal["subscribe", "poll"] = "poll"
    sampling_ms: int = Field(default=1000, ge=50, le=3_600_000)
    queue: int = Field(default=0, ge=0, le=100_000)  # values the server keeps per point between publishes; 0: computed
    timeout_ms: int = Field(default=4000, ge=100, le=60_000)
    registered: bool = False  # register the nodes before reading them (RegisterNodes)
    history: Literal["auto", "off"] = "auto"  # after an outage read what the server kept
    policy: Literal[
        "None", "Basic128Rsa15", "Basic256", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"
    ] = "None"
    security_mode: Literal["Sign", "SignAndEncrypt"] = "SignAndEncrypt"  # of any policy but None
    server_certificate: str = ""
    username: str = ""
    password_env: str = ""
    user_certificate: str = ""
    user_key: str = ""
    session_timeout_s: int = Field(default=60, ge=10, le=3600)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.user_certificate) != bool(self.user_key):
            raise Wrong("user_key", "user_certificate 与 user_key 须同填或同空 (expected both or none)")
        if self.username and self.user_certificate:
            raise Wrong("username", "用户名与用户证书只能用一种 (expected one of the two, found both)")
        for name, url in (("endpoint", self.endpoint), *(("backups", b) for b in self.backups)):
            if "@" in url.removeprefix("opc.tcp://").partition("/")[0]:  # it would stand in the log and in each message
                raise Wrong(
                    name,
                    "地址里不得写用户名 (expected no user name in the address)",
                    "改用用户名和口令变量 (use username and password_env)",
                )
            port = _PORT.match(url)
            if port is not None and not 1 <= int(port[1]) <= 65535:
                raise Wrong(name, f"端口应为 1-65535，实为 {port[1]} (expected a port of 1-65535)")
        return self


class Modbus(_Link):
    """Connection of a Modbus device, or of a unit behind a gateway or on a serial line.

    transport tcp (MBAP), rtu_over_tcp (serial frames through a transparent converter: host and port), rtu (serial port: `serial`).
    forbidden: registers the device must never be asked for, such as "holding_register:100-119"; no block covers them.
    address_base 1: the addresses of the point set count from 1, as many manuals do.
    max_gap: unused registers read to save a request; unless given 16, and 8 on a serial line, where a register costs 2 ms at 9600 baud.
    """

    LINK: ClassVar[tuple[str, ...]] = (
        "protocol", "transport", "host", "port", "serial", "baudrate", "parity", "stopbits", "bytesize",
        "pause_ms", "connect_pause_ms",
    )  # fmt: skip

    protocol: Literal["modbus"]
    transport: Literal["tcp", "rtu_over_tcp", "rtu"] = "tcp"
    host: str = ""
    port: int = Field(default=502, ge=1, le=65535)
    serial: str = ""
    baudrate: int = Field(default=9600, ge=300, le=4_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    bytesize: Literal[7, 8] = 8
    unit: int = Field(default=1, ge=0, le=255)
    timeout_ms: int = Field(default=2000, ge=50, le=60_000)
    max_gap: int | None = Field(default=None, ge=0, le=120)
    max_registers: int = Field(default=125, ge=1, le=125)
    max_bits: int = Field(default=2000, ge=1, le=2000)
    forbidden: tuple[Annotated[str, Field(pattern=_REGISTERS.pattern)], ...] = ()
    address_base: Literal[0, 1] = 0
    pause_ms: int = Field(default=0, ge=0, le=10_000)  # between an answer and the next request on this connection
    connect_pause_ms: int = Field(default=0, ge=0, le=60_000)  # between connecting and the first request

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.transport == "rtu" and (not self.serial or self.host):
            raise Wrong(
                "serial",
                '传输方式 rtu 应写串口如 /dev/ttyUSB0，不写主机 (expected serial and no host for transport "rtu")',
            )
        if "://" in self.serial:
            raise Wrong("serial", f"应为串口如 /dev/ttyUSB0，实为地址 {self.serial!r} (expected a serial port)")
        if self.transport != "rtu" and (not self.host or self.serial):
            raise Wrong(
                "host",
                f'传输方式 {self.transport} 应写主机，不写串口 (expected host and no serial for transport "{self.transport}")',
            )
        if self.transport != "tcp" and self.unit == 0:
            raise Wrong("unit", "串行线上站号应为 1-255，实为 0：广播没有回答 (expected unit 1-255 on a serial line)")
        for table, first, last in self.forbidden_ranges:
            if first > last:
                raise Wrong("forbidden", f"范围应由小到大，实为 {table}:{first}-{last} (expected first <= last)")
        return self

    @property
    def gap(self) -> int:
        """`max_gap`, or what is cheaper than another request on this transport."""
        return self.max_gap if self.max_gap is not None else 16 if self.transport == "tcp" else 8

    @property
    def forbidden_ranges(self) -> tuple[tuple[str, int, int], ...]:
        """(table, first, last) as written, in the addresses of `address_base`."""
        found = (_REGISTERS.match(text) for text in self.forbidden)
        return tuple((m[1], int(m[2]), int(m[3])) for m in found if m is not None)


class _Broker(_Link):
    """What MQTT and Sparkplug connections share. version auto: 5, and 3.1.1 where the broker does not know it."""

    LINK: ClassVar[tuple[str, ...]] = (
        "protocol", "broker", "version", "username", "password_env", "client_id", "ca_file", "certificate", "key",
    )  # fmt: skip

    broker: str = Field(pattern=r"^(mqtts?|wss?)://[^\s/:\[\]]+(:\d{1,5})?(/[^\s]*)?$")
    version: Literal["auto", "3.1.1", "5"] = "auto"
    username: str = ""
    password_env: str = ""  # the secret itself never stands in a file
    client_id: str = Field(default="", max_length=23)  # of the broker's session; empty: from this machine's name
    ca_file: str = ""  # mqtts and wss: whom to trust; empty: the system's list
    certificate: str = ""  # mutual TLS
    key: str = ""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise Wrong("key", "certificate 与 key 须同填或同空 (expected both or none)")
        port = _PORT.match(self.broker)
        if port is not None and not 1 <= int(port[1]) <= 65535:
            raise Wrong("broker", f"端口应为 1-65535，实为 {port[1]} (expected a port of 1-65535)")
        return self


class Mqtt(_Broker):
    """Topics of an MQTT device on a broker. `time_path` names the payload's own stamp (ISO 8601 or epoch); else receipt.

    topic: `{device}` is the device's id; `{point}` stands for each point's name, one message then carries one point.
    payload json, csv (`$[2]` the third field, `$.speed` a column of `csv_columns`) or plain (the whole text is the value).
    records_path: the payload holds several records, each a row with its own time, such as `$.samples`.
    share: a shared subscription's group ($share/<group>/<topic>, MQTT 5 §4.8.2).
    """

    protocol: Literal["mqtt"]
    topic: str = Field(min_length=1, pattern=_TOPIC)
    status_topic: str = Field(default="", pattern=_TOPIC)
    qos: Literal[0, 1, 2] = 1
    share: str = Field(default="", pattern=r"^[^/#+]*$")
    payload: Literal["json", "csv", "plain"] = "json"
    csv_separator: str = Field(default=",", min_length=1, max_length=1)
    csv_columns: tuple[str, ...] = ()
    records_path: str | None = Field(default=None, pattern=PATH)
    time_path: str | None = Field(default=None, pattern=PATH)
    time_unit: Literal["s", "ms", "us", "ns"] = "ms"


class Sparkplug(_Broker):
    """A Sparkplug B 3.0 edge node, or a device behind one: `spBv1.0/<group>/…/<edge_node>[/<device>]`.

    host_id: this collector is the primary host of that id and says so on `spBv1.0/STATE/<host_id>`; empty: it only listens.
    rebirth: ask an edge node for a new birth when its state is not known (the one message a host must send).
    """

    LINK: ClassVar[tuple[str, ...]] = (*_Broker.LINK, "host_id")

    protocol: Literal["sparkplug"]
    group: str = Field(min_length=1, pattern=r"^[^/#+]+$")
    edge_node: str = Field(min_length=1, pattern=r"^[^/#+]+$")
    device: str = Field(default="", pattern=r"^[^/#+]*$")
    host_id: str = Field(default="", pattern=r"^[^/#+]*$")
    rebirth: bool = True


Connection = Annotated[OpcUa | Modbus | Mqtt | Sparkplug, Field(discriminator="protocol")]
