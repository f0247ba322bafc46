"""连接各列: how a device's connection stands in a row: protocol, address, port and a few others by name, the rest in 其他参数.

In: the connection cells of a row, or a connection as the models dump it. Out: the other one. One cell 地址 holds what each protocol
calls its address (endpoint, broker, host, serial port); a port beside it goes where that protocol has it.
"""

from __future__ import annotations

import json
import re
from typing import Any, get_args

from config.connections import Modbus, Mqtt, OpcUa, Sparkplug
from config.model import Model
from config.tables.columns import half, plain

_MODELS: dict[str, type[Model]] = {"opcua": OpcUa, "modbus": Modbus, "mqtt": Mqtt, "sparkplug": Sparkplug}
_SCHEME = {"opcua": "opc.tcp://", "mqtt": "mqtt://", "sparkplug": "mqtt://"}
_URL_KEY = {"opcua": "endpoint", "mqtt": "broker", "sparkplug": "broker"}
_HOST_PORT = re.compile(r"^([^\s:/]+):(\d{1,5})$")
_NAMED = "protocol port unit transport topic status_topic mode group edge_node device username password_env".split()
_BARE = re.compile(r"^[^;；\"\[\s][^;；\n\"]*$")
_TRANSPORTS = {"modbusrtu": "rtu", "modbusrtuovertcp": "rtu_over_tcp"}


def connection_of(cells: dict[str, Any], protocol_cell: Any) -> tuple[dict[str, Any], list[str]]:
    """The connection table of a row's cells (keys without `connection.`), and how its address was completed."""
    found = {k: v for k, v in cells.items() if k not in ("address", "other")}
    notes: list[str] = []
    for key, value in cells.get("other", {}).items():
        if key not in found:
            found[key] = _typed(value, str(found.get("protocol")), key)
    protocol = found.get("protocol")
    if protocol == "modbus" and "transport" not in found:
        implied = _TRANSPORTS.get(plain(str(protocol_cell)))
        if implied:
            found["transport"] = implied
    address = half(cells["address"]).strip() if "address" in cells else None
    if protocol in _URL_KEY:
        url, note = _url(protocol, address, found)
        if url is not None:
            found[_URL_KEY[protocol]] = url
        notes += [note] if note else []
    elif address is not None:
        match = _HOST_PORT.match(address)
        if found.get("transport") == "rtu":
            found["serial"] = address
        elif match and "port" not in found:
            found["host"], found["port"] = match[1], int(match[2])
            notes.append(f"主机 {match[1]}，端口 {match[2]} (host and port)")
        else:
            found["host"] = address
    return found, notes


def other_keys(cells: dict[str, Any]) -> list[str]:
    """Keys of 其他参数 that have a column of their own which is filled too."""
    return [k for k in cells.get("other", {}) if k in cells]


def cells_of(connection: dict[str, Any]) -> dict[str, Any]:
    """Inverse of `connection_of`: cells by column key, for writing."""
    left = dict(connection)
    found: dict[str, Any] = {}
    key = _URL_KEY.get(left["protocol"]) or ("serial" if left.get("transport") == "rtu" else "host")
    if key in left:
        found["address"] = left.pop(key)
    for name in _NAMED:
        if name in left:
            found[name] = left.pop(name)
    if left:
        found["other"] = "; ".join(f"{k}={_written(v)}" for k, v in left.items())
    return found


def _url(protocol: str, address: str | None, found: dict[str, Any]) -> tuple[str | None, str]:
    if address is None:
        return None, ""
    url = address if "://" in address else _SCHEME[protocol] + address
    port = found.pop("port", None)
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if port is not None and not re.search(r":\d+$", host):
        url = f"{scheme}://{host}:{port}{slash}{path}"
    elif port is not None and not host.endswith(f":{port}"):
        found["port"] = port  # two ports: the model says that this one has no place
    return url, "" if url == address else f"地址补全为 {url} (address completed)"


def _typed(value: Any, protocol: str, key: str) -> Any:
    """Yes, no and numbers of a fixed choice as the models want them; other numbers they read from text."""
    if not isinstance(value, str):
        return value
    field = _MODELS[protocol].model_fields.get(key) if protocol in _MODELS else None
    choices = get_args(field.annotation) if field is not None else ()
    if choices and all(isinstance(c, int) for c in choices) and value.isdigit():
        return int(value)
    if value in ("true", "false", "是", "否"):
        return value in ("true", "是")
    return value


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return json.dumps(list(value), ensure_ascii=False)
    text = str(value)
    return (
        text
        if _BARE.match(text) and text == text.strip() and text not in ("true", "false", "是", "否")
        else json.dumps(text, ensure_ascii=False)
    )
