"""记录种类: every kind of row that people and systems hand in, by name: one table, read by everything else.

In: nothing. Out: `KINDS`. From it follow the CSV and xlsx headers (id or Chinese name, with synonyms), the REST and MQTT keys, the
canonical CSV of accepted rows (docs/format/records.md), the typed frames of the metrics and the page docs/records.md.
"""

from __future__ import annotations

from config.kinds_enterprise import ENTERPRISE
from config.kinds_production import PRODUCTION
from config.record_kind import Column, Kind, Link, Type

__all__ = ["KINDS", "Column", "Kind", "Link", "Type"]

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*PRODUCTION, *ENTERPRISE)}
