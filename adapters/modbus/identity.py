"""Who a unit says it is: Read Device Identification (43 / 14), or else Report Server ID (17).

In: a link and a unit's number. Out: sorted (name, text) facts, empty when it does not say; what it announces of its origin.
Modbus Application Protocol V1.1b3 §6.21 (object ids, "more follows") and §6.13. Never required: most devices know neither.
"""

from __future__ import annotations

import re

from adapters.contract import ReadError
from adapters.modbus.frames import identification, server_id
from adapters.modbus.link import ModbusLink
from adapters.modbus.wire import DeviceRefusal

Facts = tuple[tuple[str, str], ...]

_OBJECTS = {
    0: "vendor_name",
    1: "product_code",
    2: "revision",
    3: "vendor_url",
    4: "product_name",
    5: "model_name",
    6: "user_application_name",
}
_ANNOUNCED = {"PlantProof simulator": "simulated", "PlantProof replay": "replay"}
_ROUNDS = 8  # answers to one identification, each with what did not fit into the one before


async def facts_of(link: ModbusLink, unit: int, timeout_s: float) -> Facts:
    """What the unit says of itself. Errors: `ReadError` when it does not answer; not when it refuses.

    On a serial line, where function 17 is at home, it is asked for even after a silence: some slaves pass over a function they do not know.
    """
    objects: dict[int, str] = {}
    try:
        objects = await _objects(link, unit, timeout_s)
    except DeviceRefusal:
        pass
    except ReadError:
        if link.at_once or not link.connected:
            raise
    if objects:
        return tuple(sorted((_OBJECTS.get(i, f"object_{i}"), text) for i, text in objects.items() if text))
    try:
        raw = await link.ask(server_id(unit), timeout_s, silence_counts=False)
    except DeviceRefusal:
        return ()
    return server_facts(raw)


def origin_of(facts: Facts) -> str:
    """ "simulated" or "replay" when the unit says so, else "live"."""
    words = " ".join(text for name, text in facts if name in ("product_name", "user_application_name", "server_id"))
    return next((origin for mark, origin in _ANNOUNCED.items() if mark in words), "live")


async def _objects(link: ModbusLink, unit: int, timeout_s: float) -> dict[int, str]:
    objects: dict[int, str] = {}
    first = 0
    for _ in range(_ROUNDS):
        raw = await link.ask(identification(unit, first), timeout_s, silence_counts=False)
        found, following = read_objects(raw)
        objects |= found
        if following is None or following <= first:
            break
        first = following
    return objects


def read_objects(raw: bytes) -> tuple[dict[int, str], int | None]:
    """(objects, the id that follows) of an answer to 43 / 14, after its function code. What is cut short is left out."""
    objects: dict[int, str] = {}
    if len(raw) < 6:
        return objects, None
    at = 6  # MEI type, code, conformity, more follows, next id, number of objects
    for _ in range(raw[5]):
        if at + 2 > len(raw) or at + 2 + raw[at + 1] > len(raw):
            break
        objects[raw[at]] = _text(raw[at + 2 : at + 2 + raw[at + 1]])
        at += 2 + raw[at + 1]
    return objects, raw[4] if raw[3] == 0xFF else None


def server_facts(raw: bytes) -> Facts:
    """Of an answer to 17, after its function code: byte count, then what the maker chose: an id, the run indicator, text, in some order."""
    body = raw[1 : 1 + raw[0]] if raw else b""
    if not body:
        return ()
    runs = re.findall(rb"[\x20-\x7e]{3,}", body)
    text = max(runs, key=len, default=b"")
    rest = body.replace(text, b"", 1) if text else body
    run = {0x00: "off", 0xFF: "on"}.get(rest[-1], "") if rest and text else ""
    named = (("run_indicator", run), ("server_id", text.decode().strip() or body.hex()))
    return tuple((name, value) for name, value in named if value)


def _text(raw: bytes) -> str:
    """Readable text, or hex where it is not."""
    kept = raw.strip(b"\0 ")
    text = kept.decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else kept.hex()
