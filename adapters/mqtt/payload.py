"""One MQTT message -> rows: JSON, CSV or plain text, a path per point, and the payload's own time.

In: payload bytes and the source whose topic it came on. Out: for each record of the payload a wide row (`kind = "wide"`: the record
carries the machine) or one event row per point found (`kind = "event"`: it carries what changed). A record is the whole payload, each
element at `records_path`, or each line of CSV. Points and time are looked up in the record; a time that is not there, in the payload.
Time: see `stamp.py`; absent or unreadable, the collector's clock is used and the quality becomes Uncertain; more than a day ahead of the
clock, it is kept and Uncertain. JSON null is a missing value, an object or array a Bad_TypeMismatch. Of a repeated key the last counts.
Refuses (`Undecodable`): over 1 MiB, not JSON (NaN, Infinity and more than 1,024 levels are none), not UTF-8, more than 10,000 records,
records in which no point is found. Each becomes a `rejected` row and a dead letter.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import cast

import orjson

from adapters.batch import BAD_NO_DATA, UNCERTAIN
from adapters.mqtt.stamp import parse_time
from adapters.paths import ABSENT, Getter, compile_path
from adapters.rows import Rows
from adapters.template import Source
from adapters.values import Cast, Value
from config.connections import Mqtt
from config.points import Point

MAX_BYTES = 1 << 20
MAX_RECORDS = 10_000
_DAY_US = 86_400_000_000
_BOM = b"\xef\xbb\xbf"
_INTEGER = re.compile(r"[+-]?[0-9]{1,400}\Z")
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?\Z")
_EXACT: dict[str, type] = {"f64": float, "bool": bool, "str": str}
_TRUTHS = {"true": True, "false": False}


class Undecodable(Exception):
    """A payload that makes no row; the words say why."""


class MessageDecoder:
    """The messages of one device."""

    def __init__(self, source: Source, connection: Mqtt) -> None:
        self._source = source
        self._form = connection.payload
        self._separator, self._columns = connection.csv_separator, connection.csv_columns
        paths = [p.path or "$" for p in source.points]
        self._getters = tuple(map(self._getter, paths))
        self._records = compile_path(connection.records_path) if connection.records_path else None
        self._time = self._getter(connection.time_path) if connection.time_path else None
        self._unit = connection.time_unit
        self._wide = source.template.kind == "wide"
        self._casts: tuple[Cast, ...] = source.casts
        exact = [_as_it_is(p) if self._form == "json" else None for p in source.points]
        if self._form != "json":
            self._casts = tuple(_reading(p, c) for p, c in zip(source.points, source.casts, strict=True))
        self._cells = tuple(zip(exact, self._casts, strict=True))

    def rows(self, rows: Rows, payload: bytes, now_us: int, point: int | None = None) -> str:
        """Add the message's rows; `point` when its topic stands for that one. Empty text, or how many records made no row and why.

        Errors: `Undecodable`, and nothing is added.
        """
        body = self._body(payload)
        records = self._split(body)
        lost = 0
        for record in records:
            lost += not self._add(rows, record, body, now_us, point)
        if lost == len(records):
            raise Undecodable("报文里没有任何测点 (expected at least one point's path, found none)")
        if lost:
            return f"{len(records)} 条记录中有 {lost} 条没有任何测点 (records without any point)"
        return ""

    def _getter(self, path: str) -> Getter:
        """Of CSV, the name of a column is its place."""
        if self._form == "csv":
            place = compile_path(path)({name: i for i, name in enumerate(self._columns)})
            if isinstance(place, int):
                return compile_path(f"$[{place}]")
        return compile_path(path)

    def _body(self, payload: bytes) -> object:
        if self._form == "json":
            return parse(payload)
        text = _text(payload)
        return text.strip() if self._form == "plain" else self._lines(text)

    def _lines(self, text: str) -> list[list[str]]:
        """CSV (RFC 4180) -> its lines, each a list of fields; without empty ones and without a heading."""
        try:
            lines = [
                [f.strip() for f in line]
                for line in csv.reader(io.StringIO(text), delimiter=self._separator, strict=True)
            ]
        except csv.Error as err:
            raise Undecodable(f"报文不是 CSV (expected CSV, found: {err})") from err
        return [line for line in lines if any(line) and tuple(line) != self._columns]

    def _split(self, body: object) -> Sequence[object]:
        found = body
        if self._form == "json":
            if self._records is None:
                return (body,)
            found = self._records(body)
            if isinstance(found, dict):
                return (found,)
        elif self._form == "plain":
            return (body,)
        if not isinstance(found, list) or not found:
            raise Undecodable("报文里没有记录 (expected records at records_path or lines, found none)")
        if len(found) > MAX_RECORDS:
            raise Undecodable(f"记录过多 (expected at most {MAX_RECORDS} records, found {len(found)})")
        return found

    def _add(self, rows: Rows, record: object, body: object, now_us: int, point: int | None) -> bool:
        """One record's rows; False when no point was found in it."""
        if point is not None:
            return self._add_event(rows, point, self._getters[point](record), *self._when(record, body, now_us), now_us)
        found = [get(record) for get in self._getters]
        if all(raw is ABSENT for raw in found):
            return False
        source_us, doubt = self._when(record, body, now_us)
        if not self._wide:
            for i, raw in enumerate(found):
                self._add_event(rows, i, raw, source_us, doubt, now_us)
            return True
        marks = [doubt] * len(found)
        for i, ((exact, convert), raw) in enumerate(zip(self._cells, found, strict=True)):
            if type(raw) is exact:
                continue
            found[i], quality = (None, BAD_NO_DATA) if raw is ABSENT else convert(raw)
            marks[i] = quality or doubt
        rows.wide(source_us, now_us, cast("list[Value | None]", found), marks)
        return True

    def _add_event(self, rows: Rows, point: int, raw: object, source_us: int, doubt: int, now_us: int) -> bool:
        if raw is ABSENT:
            return False
        value, quality = self._casts[point](raw)
        rows.event(point, value, doubt, source_us, now_us, value_quality=quality or doubt)
        return True

    def _when(self, record: object, body: object, now_us: int) -> tuple[int, int]:
        """The record's own time and the doubt about it."""
        if self._time is None:
            return now_us, 0
        raw = self._time(record)
        if raw is ABSENT and record is not body:
            raw = self._time(body)
        stamp = parse_time(raw, self._source.tz, self._unit)
        if stamp is None:
            return now_us, UNCERTAIN
        return stamp, UNCERTAIN if stamp > now_us + _DAY_US else 0


def parse(payload: bytes) -> object:
    """JSON. Errors: `Undecodable`."""
    _check_size(payload)
    try:
        return orjson.loads(payload.removeprefix(_BOM))
    except orjson.JSONDecodeError as err:
        raise Undecodable(f"报文不是 JSON (expected JSON, found: {err})") from err


def too_large(size: int) -> Undecodable:
    """What there is to say of a payload over the limit."""
    return Undecodable(f"报文过大 (expected at most {MAX_BYTES} bytes, found {size})")


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_BYTES:
        raise too_large(len(payload))


def _text(payload: bytes) -> str:
    _check_size(payload)
    try:
        return payload.removeprefix(_BOM).decode()
    except UnicodeDecodeError as err:
        raise Undecodable(f"报文不是 UTF-8 文本 (expected UTF-8, found byte 0x{payload[err.start]:02x})") from err


def _as_it_is(point: Point) -> type | None:
    """The type of raw values that need no cast: nothing is scaled, compared or converted. JSON has no NaN."""
    plain = not point.no_value and all(v is None for v in (point.scale, point.offset, point.low, point.high))
    return _EXACT.get(point.type) if plain else None


def _reading(point: Point, convert: Cast) -> Cast:
    """Text has no types: what reads as a number or a truth value is one, unless the point is a text or the text means "no value"."""
    no_value = frozenset(text.casefold() for text in point.no_value)

    def read(raw: object) -> tuple[object, int]:
        if not isinstance(raw, str) or raw.casefold() in no_value:
            return convert(raw)
        if not raw:
            return convert(None)
        return convert(raw if point.type == "str" else _number(raw, point.type))

    return read  # type: ignore[return-value]


def _number(text: str, kind: str) -> object:
    if _INTEGER.match(text):
        return int(text)
    if _NUMBER.match(text):
        return float(text)
    return _TRUTHS.get(text.casefold(), text) if kind == "bool" else text
