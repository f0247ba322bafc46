"""A small plant as the forms see it: report, register, records and documents made from a case in memory."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any

from config.documents import Document
from config.metric_names import TITLES
from config.rulebook import load_shelf
from evidence_api.forms.content import Basis, Content
from evidence_api.forms.tables import content_of
from metrics.evaluate import Computed, compute_all, report_of
from tests.metrics.casefile import inputs_of, us, vector_of

MQTT = {"points": "pts", "connection": {"protocol": "mqtt", "broker": "mqtt://b", "topic": "a"}}
CASE: dict[str, Any] = {
    "at": "2026-12-01T00:00:00+08:00",
    "register": {
        "effective": "2026-07-01T00:00:00+08:00",
        "body": {
            "format": "plantproof-register/1",
            "line": [{"id": "L1", "name": "一线", "representative": True, "commissioned": "2025-01-01"}],
            "process": [{"id": "P1", "name": "精车", "line": "L1", "key": True}],
            "points": [{"id": "pts", "point": [{"name": "v", "type": "f64", "path": "$.v"}]}],
            "scene": [
                {
                    "id": "S1",
                    "no": 27,
                    "name": "设备运行监控",
                    "line": "L1",
                    "status": "in_production",
                    "since": "2025-06-01",
                }
            ],
            "device": [
                {
                    "id": "A",
                    "name": "=数控车床",
                    "line": "L1",
                    "process": "P1",
                    "nc": True,
                    "controller": "FANUC",
                    "in_service_from": "2025-01-01",
                    **MQTT,
                },
                {"id": "B", "name": "普通车床", "line": "L1", "process": "P1", "in_service_from": "2025-01-01"},
                {
                    "id": "C",
                    "name": "旧车床",
                    "line": "L1",
                    "in_service_from": "2020-01-01",
                    "retired_at": "2026-10-01",
                },
            ],
        },
    },
    "lines": [
        {
            "device": "A",
            "from": "2026-09-01T00:00+08:00",
            "to": "2026-12-01T00:00+08:00",
            "auto_s": 100,
            "run_s": 3600,
            "stop_s": 0,
            "unknown_s": 0,
        }
    ],
    "records": {
        "profile": [["industry", "C3443"], ["size", "medium"]],
        "finance": [[2025, "20123456.50", "1000000.00", ""]],
        "effects": [
            {
                "indicator": "生产效率",
                "scope": "plant",
                "period": "改造前",
                "first_day": "2024-01-01",
                "last_day": "2024-06-30",
                "numerator": 10,
                "denominator": 3,
                "formula": "件/时",
            },
            {
                "indicator": "生产效率",
                "scope": "plant",
                "period": "改造后",
                "first_day": "2026-01-01",
                "last_day": "2026-06-30",
                "numerator": "12.5",
                "denominator": 3,
                "formula": "件/时",
            },
        ],
        "investments": [
            ["I1", "L1", "equipment", "数控车床", "8000000.00"],
            ["I2", "L1", "civil", "厂房", "5000000.00"],
        ],
    },
}
PAPERS = (
    Document("D1", "ab" * 32, "maturity", "成熟度自评估报告", "c3mep", date(2026, 3, 1), None, 2, (), (), 10, 0),
    Document("D2", "cd" * 32, "licence", "营业执照", "市监局", None, date(2026, 5, 1), None, (), (), 10, 0),
)


@cache
def basis(instrument: str = "CN-GS/GS25", level: str = "basic") -> Basis:
    """What the forms of one instrument and level are made from."""
    inputs = inputs_of(vector_of(CASE))
    shelf = load_shelf(TITLES)
    computed = Computed(us(CASE["at"]), inputs, compute_all(inputs), ())
    assert inputs.revision is not None
    return Basis(
        report_of(computed, shelf[instrument], shelf).at_level(level).to_json(),
        level,
        {"plant": "陇原精密制造", "credit_code": "91620100MA0000000X", "site": "兰州"},
        inputs.register,
        inputs.revision.rev,
        inputs.records,
        PAPERS,
        inputs.excusing,
    )


def content(instrument: str = "CN-GS/GS25", level: str = "basic") -> Content:
    """Its content."""
    return content_of(basis(instrument, level))
