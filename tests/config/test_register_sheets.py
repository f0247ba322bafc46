"""The register in sheets: every form reads back as the same register, and what people write otherwise is taken and listed."""

from __future__ import annotations

import json
import string
import tempfile
import zipfile
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from config.errors import ConfigError
from config.load import load_register, parse_register_file
from config.register import FORMAT, Register
from config.register_check import check_register
from config.tables.annotate import annotate_workbook
from config.tables.corrections import gathered
from config.tables.register_writers import export_register
from config.tables.template import example_register
from tests.builders import FIRST_HOUR
from tests.collector.random_plant import register as random_plant
from tests.config.workbooks import changed, parsed

IDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12) | st.sampled_from(
    ["=1+1", "-3", "@a", "'=x", "1001", "a;b", 'a"b', "true", "[x", "甲、乙", "{a}", "#N/A?", "1.0E+3", "+86 10"]
)
DECIMALS = st.decimals(-(10**6), 10**6, places=3).map(lambda d: d + 0) | st.sampled_from(
    [Decimal("0.10"), Decimal("1E+2"), Decimal("-0"), Decimal("0.1"), Decimal(7)]
)
DAYS = st.dates(date(1990, 1, 1), date(2050, 1, 1))


def rows(row: st.SearchStrategy[dict[str, Any]], key: str = "id") -> st.SearchStrategy[list[dict[str, Any]]]:
    """Some rows, each with an id of its own."""
    return st.lists(row, max_size=3, unique_by=lambda r: r[key])


CONNECTIONS = st.one_of(
    st.fixed_dictionaries(
        {
            "protocol": st.just("mqtt"),
            "broker": st.sampled_from(["mqtt://10.0.0.1", "wss://h:8443/x;y"]),
            "topic": TEXTS.filter(lambda t: not set(t) & set("#+{")),
        },
        optional={
            "payload": st.sampled_from(["json", "plain", "csv"]),
            "csv_separator": st.sampled_from([";", ",", '"']),
            "qos": st.sampled_from([0, 1, 2]),
            "csv_columns": st.lists(TEXTS, max_size=3),
            "username": TEXTS,
            "password_env": IDS,
            "time_unit": st.sampled_from(["s", "us"]),
            "version": st.sampled_from(["5", "3.1.1"]),
        },
    ),
    st.fixed_dictionaries(
        {"protocol": st.just("modbus"), "host": IDS},
        optional={
            "port": st.integers(1, 65535),
            "unit": st.integers(0, 255),
            "max_gap": st.integers(0, 120),
            "pause_ms": st.integers(0, 99),
            "forbidden": st.just(["coil:1-2", "holding_register:100-119"]),
            "address_base": st.just(1),
        },
    ),
    st.just({"protocol": "modbus", "transport": "rtu", "serial": "/dev/ttyUSB0", "parity": "E"}),
    st.fixed_dictionaries(
        {"protocol": st.just("opcua"), "endpoint": st.just("opc.tcp://10.0.0.1:4840/a")},
        optional={
            "registered": st.booleans(),
            "policy": st.just("Basic256Sha256"),
            "username": TEXTS,
            "mode": st.just("poll"),
            "backups": st.just(["opc.tcp://10.0.0.2:4840"]),
        },
    ),
)


@st.composite
def registers(draw: st.DrawFn) -> Register:
    """A sound register with something in every table."""
    lines = draw(
        rows(
            st.fixed_dictionaries(
                {"id": IDS, "name": TEXTS, "workshop": TEXTS, "representative": st.booleans()},
                optional={"commissioned": DAYS},
            )
        )
    )
    line = st.sampled_from([r["id"] for r in lines] or [None])
    processes = (
        draw(rows(st.fixed_dictionaries({"id": IDS, "name": TEXTS, "line": line, "key": st.booleans()})))
        if lines
        else []
    )
    point = st.fixed_dictionaries(
        {
            "name": IDS,
            "type": st.sampled_from(["f64", "i64"]),
            "node": st.just("nsu=u;s={device}.X"),
            "path": st.just("$.a['b c']"),
            "key_parameter": st.just(True),
            "table": st.just("holding_register"),
            "address": st.integers(1, 60000),
            "wire": st.just("u16"),
        },
        optional={
            "unit": TEXTS,
            "scale": DECIMALS,
            "offset": DECIMALS,
            "no_value": st.lists(TEXTS, max_size=3),
            "word_order": st.just("little"),
            "spec_low": DECIMALS,
        },
    )
    points = draw(
        rows(
            st.fixed_dictionaries(
                {"id": IDS, "point": st.lists(point, min_size=1, max_size=3, unique_by=lambda p: p["name"])},
                optional={"state_map": st.dictionaries(TEXTS, st.sampled_from(["run", "stop", "off"]), max_size=3)},
            )
        )
    )
    devices: list[dict[str, Any]] = []
    if lines:
        device = st.fixed_dictionaries(
            {
                "id": IDS,
                "name": TEXTS,
                "line": line,
                "in_service_from": DAYS,
                "production": st.booleans(),
                "digital": st.booleans(),
                "nc": st.just(True),
            },
            optional={
                "maker": TEXTS,
                "model": TEXTS,
                "asset_no": TEXTS,
                "controller": TEXTS,
                "major_nc": st.booleans(),
                "capacity_per_h": DECIMALS.filter(lambda d: d > 0),
                "equipment_class": st.sampled_from(["nc_robot", "logistics_storage"]),
                "interval_s": st.integers(1, 3600),
            },
        )
        devices = draw(rows(device))
    for d in devices:
        if points and draw(st.booleans()):
            d["points"], d["connection"] = draw(st.sampled_from([p["id"] for p in points])), draw(CONNECTIONS)
    zone = timezone(timedelta(hours=draw(st.integers(-9, 14))))
    offset = f"{datetime(2026, 1, 1, tzinfo=zone):%z}"
    closures = draw(
        rows(
            st.fixed_dictionaries(
                {
                    "id": IDS,
                    "start": st.just(datetime(2026, 1, 1, 8, tzinfo=zone)),
                    "end": st.sampled_from(
                        [datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 1, 9, 30, 15, tzinfo=zone)]
                    ),
                    "reason": TEXTS,
                    "approver": TEXTS,
                    "lines": st.lists(line, max_size=2, unique=True) if lines else st.just([]),
                }
            )
        )
    )
    body = {
        "format": FORMAT,
        "calendar": {
            "utc_offset": f"{offset[:3]}:00",
            "closures": closures,
            "shifts": draw(st.just([]) | st.just([{"name": "夜班", "start": "20:00", "end": "24:00"}])),
        },
        "line": lines,
        "process": processes,
        "points": points,
        "device": devices,
        "scene": draw(
            rows(
                st.fixed_dictionaries(
                    {
                        "id": IDS,
                        "no": st.integers(1, 200),
                        "name": TEXTS,
                        "status": st.just("building"),
                        "ai": st.booleans(),
                        "technologies": st.lists(TEXTS, max_size=3),
                    }
                )
            )
        ),
        "system": draw(
            rows(
                st.fixed_dictionaries(
                    {
                        "id": IDS,
                        "name": TEXTS,
                        "kind": st.sampled_from(["erp", "other", "fin"]),
                        "domains": st.lists(TEXTS, max_size=2),
                    }
                )
            )
        ),
        "energy": draw(
            rows(
                st.fixed_dictionaries(
                    {
                        "medium": IDS,
                        "name": TEXTS,
                        "unit": st.just("kW.h"),
                        "kgce_per_unit": st.sampled_from([Decimal("0.1229"), Decimal("1.0000")]),
                        "source": TEXTS,
                    }
                ),
                "medium",
            )
        ),
        "item": draw(rows(st.fixed_dictionaries({"id": IDS, "name": TEXTS, "source": st.just("manual")}))),
    }
    register, findings = check_register(body)
    found = [f for f in findings if "expected" in f.message and f.loc[0] != "device"]
    if register is None:  # a point set that a protocol cannot read is no register: its devices go
        assert not found, found
        register, findings = check_register(body | {"device": []})
    assert register is not None, findings
    return register


@settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
@given(registers())
def test_every_form_reads_back_as_the_same_register(register: Register) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name in ("r.xlsx", "folder", "r.toml"):
            path = Path(place) / name
            export_register(register, path)
            again = parse_register_file(path)
            assert again.problems == ()
            assert again.register == register
            assert again.register.canonical_json() == register.canonical_json()
            assert again.corrections == (), name


@pytest.mark.parametrize("which", [1, 2])
def test_plants_of_other_tests_survive_each_form(which: int, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(random_plant(which, FIRST_HOUR), encoding="utf-8")
    register = load_register(tmp_path / "p.toml")
    for name in ("r.xlsx", "folder", "r.toml"):
        export_register(register, tmp_path / name)
        assert load_register(tmp_path / name).sha256 == register.sha256


@pytest.mark.parametrize(
    ("cell", "written", "taken"),
    [
        ("F5", "√", ("digital", True)),
        ("F5", "Y", ("digital", True)),
        ("F5", "有", ("digital", True)),
        ("F5", 1, ("digital", True)),
        ("F5", "Ｙ", ("digital", True)),
        ("F2", "×", ("digital", False)),
        ("F5", True, ("digital", True)),
        ("Q2", "2024/3/1", ("in_service_from", date(2024, 3, 1))),
        ("Q2", "2024.3.1", ("in_service_from", date(2024, 3, 1))),
        ("Q2", "2024年3月1日", ("in_service_from", date(2024, 3, 1))),
        ("Q2", "２０２４－０３－０１", ("in_service_from", date(2024, 3, 1))),
        ("Q2", 20240301, ("in_service_from", date(2024, 3, 1))),
        ("Q2", 45352, ("in_service_from", date(2024, 3, 1))),
        ("Q2", datetime(2024, 3, 1, 8), ("in_service_from", date(2024, 3, 1))),  # noqa: DTZ001
        ("S2", "６０秒", ("interval_s", 60)),
        ("S2", "1,200", ("interval_s", 1200)),
        ("P2", "1,200.50", ("capacity_per_h", Decimal("1200.50"))),
        ("C2", "阀体精密机加线", ("line", "L1")),
        ("D2", "精 车", ("process", "P10")),
        ("A5", 1001, ("id", "1001")),
        ("A5", "ＬＴＨ－００８", ("id", "LTH-008")),
        ("K2", 6150, ("model", "6150")),
        ("J2", "  沈阳机床", ("maker", "沈阳机床")),
        ("N5", "工业机器人", ("equipment_class", "nc_robot")),
    ],
)
def test_what_stands_in_another_form_is_taken_and_listed(
    tmp_path: Path, cell: str, written: Any, taken: tuple[str, Any]
) -> None:
    found = parsed(tmp_path / "t.xlsx", {f"设备!{cell}": written})
    assert found.problems == ()
    assert found.register is not None
    assert getattr(found.register.devices[int(cell[1:]) - 2], taken[0]) == taken[1]
    assert [c.where for c in found.corrections] == [f"设备!{cell}"]


@pytest.mark.parametrize(
    ("cells", "protocol", "key", "value"),
    [
        ({"U3": "Modbus RTU", "V3": "/dev/ttyS1"}, "modbus", "serial", "/dev/ttyS1"),
        ({"V3": "10.0.0.9:1502"}, "modbus", "port", 1502),
        ({"V2": "192.168.1.11", "W2": 4841}, "opcua", "endpoint", "opc.tcp://192.168.1.11:4841"),
        ({"V4": "10.0.0.5", "W4": 1884}, "mqtt", "broker", "mqtt://10.0.0.5:1884"),
        ({"AH3": 'timeout_ms=900；forbidden=["coil:1-2"]'}, "modbus", "forbidden", ("coil:1-2",)),
        ({"Y3": "TCP"}, "modbus", "transport", "tcp"),
    ],
)
def test_an_address_is_completed_by_its_protocol(
    tmp_path: Path, cells: dict[str, Any], protocol: str, key: str, value: Any
) -> None:
    found = parsed(tmp_path / "t.xlsx", {f"设备!{k}": v for k, v in cells.items()})
    assert found.problems == ()
    assert found.register is not None
    connection = next(
        d.connection for d in found.register.devices if d.connection and d.connection.protocol == protocol
    )
    assert getattr(connection, key) == value


def test_titles_above_the_header_other_headers_and_columns_nobody_knows(tmp_path: Path) -> None:
    cells = {
        "设备!A1": "固资编号*",
        "设备!M1": "备注",
        "设备!Q1": "启用日期（年月日）",
        "设备!标题行": 3,
        "设备!合并": "A1:H2",
    }
    found = parsed(tmp_path / "t.xlsx", cells)
    assert found.problems == ()
    assert found.register == example_register().model_copy(
        update={"devices": tuple(d.model_copy(update={"asset_no": ""}) for d in example_register().devices)}
    )
    assert {c.where for c in found.corrections} == {"设备!A4", "设备!M4", "设备!Q4"}


def test_merged_cells_speak_for_every_row_and_hidden_and_empty_rows_are_told(tmp_path: Path) -> None:
    cells = {"设备!C3": None, "设备!C4": None, "设备!合并": "C2:C4", "设备!隐藏行": 4, "设备!A9": "X-9"}
    cells |= {"设备!B9": "钻床", "设备!C9": "L1", "设备!Q9": date(2020, 1, 1)}
    found = parsed(tmp_path / "t.xlsx", cells)
    assert found.problems == ()
    assert found.register is not None
    assert [d.line for d in found.register.devices] == ["L1"] * 5
    assert [c.where for c in found.corrections] == ["设备!C3", "设备!C4", "设备!A4"]


def test_a_gb18030_csv_is_the_sheet_of_devices_and_brings_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "设备.csv"
    path.write_bytes("设备编号,设备名称,产线,工序,投用日期,是否数控\nA-1,车床,L1,P1,2024/3/1,是\n".encode("gb18030"))
    found = parse_register_file(path)
    assert found.register is not None
    assert [x.id for x in (*found.register.lines, *found.register.processes)] == ["L1", "P1"]
    assert found.register.devices[0].nc
    assert any("GB18030" in c.note for c in found.corrections)


def test_a_title_above_the_header_of_a_csv_does_not_hide_its_separator(tmp_path: Path) -> None:
    path = tmp_path / "设备.csv"
    path.write_text("某厂设备台账\n设备编号;设备名称;产线;投用日期\nD1;车床;L1;2024-03-01\n", encoding="utf-8-sig")
    found = parse_register_file(path, example_register())
    assert found.register is not None
    assert [d.id for d in found.register.devices] == ["D1"]


def test_a_csv_upon_the_register_in_force_changes_its_devices_only(tmp_path: Path) -> None:
    base = example_register()
    export_register(base, tmp_path / "d.csv")
    assert load_register(tmp_path / "d.csv", base).sha256 == base.sha256
    text = (tmp_path / "d.csv").read_text(encoding="utf-8-sig")
    (tmp_path / "d.csv").write_text(text.replace("L1,P10", "阀体精密机加线,精车"), encoding="utf-8")
    assert load_register(tmp_path / "d.csv", base).sha256 == base.sha256


def test_many_corrections_of_one_kind_are_drawn_together(tmp_path: Path) -> None:
    found = parsed(tmp_path / "t.xlsx", {f"设备!F{i}": "√" for i in range(2, 6)})
    assert [(first.where, count) for first, count in gathered(found.corrections)] == [("设备!F2", 4)]


def test_the_annotated_copy_marks_wrong_and_corrected_cells_and_keeps_formulas_and_formats(tmp_path: Path) -> None:
    import openpyxl

    cells = {"设备!C2": "L9", "设备!F2": "√", "设备!K2": "=1+1", "设备!Q3": "去年"}
    path = changed(tmp_path / "t.xlsx", cells)
    annotate_workbook(path, tmp_path / "a.xlsx", parse_register_file(path))
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    page = book["设备"]
    assert page["K2"].value == "=1+1"
    assert page["A1"].font.bold
    assert [page[c].fill.fgColor.rgb for c in ("C2", "Q3", "F2")] == ["FFFFC7CE", "FFFFC7CE", "FFFFF2CC"]
    assert "没有 产线 'L9'" in page["C2"].comment.text
    assert page["A2"].comment is None
    summary = [[c.value for c in row] for row in book["检查结果"].iter_rows()]
    assert book.sheetnames[0] == "检查结果"
    assert [r[1] for r in summary[2:]] == ["设备!C2", "设备!K2", "设备!Q3", "设备!F2"]
    again = parse_register_file(tmp_path / "a.xlsx")
    assert [p.where for p in again.problems] == [p.where for p in parse_register_file(path).problems]


def test_what_the_annotated_copy_cannot_carry_is_said_and_not_lost_in_silence(tmp_path: Path) -> None:
    import openpyxl

    path = changed(tmp_path / "t.xlsx", {"设备!C2": "L9"})
    with zipfile.ZipFile(path, "a") as book:
        book.writestr("xl/vbaProject.bin", b"macro")
        book.writestr("xl/media/image1.png", b"picture")
        book.writestr("xl/drawings/drawing9.xml", '<xdr:wsDr xmlns:xdr="x"><xdr:sp/><xdr:sp></xdr:sp></xdr:wsDr>')
    assert annotate_workbook(path, tmp_path / "a.xlsx", parse_register_file(path)) == ("图形和文本框", "图片", "宏")
    head = openpyxl.load_workbook(tmp_path / "a.xlsx")["检查结果"]["A1"].value
    assert "本副本不含原件的图形和文本框、图片、宏" in head
    assert annotate_workbook(changed(tmp_path / "u.xlsx", {}), tmp_path / "b.xlsx", parse_register_file(path)) == ()


def test_an_annotated_copy_of_csv_is_a_workbook_and_toml_has_none(tmp_path: Path) -> None:
    import openpyxl

    path = Path(__file__).parents[1] / "bad/register/csv/month-thirteen.csv"
    annotate_workbook(path, tmp_path / "a.xlsx", parse_register_file(path))
    assert openpyxl.load_workbook(tmp_path / "a.xlsx")["设备"]["D3"].comment is not None
    with pytest.raises(ConfigError, match="TOML 没有单元格"):
        annotate_workbook(tmp_path / "r.toml", tmp_path / "b.xlsx", parse_register_file(path))


def test_an_original_is_never_overwritten_by_its_copy(tmp_path: Path) -> None:
    path = changed(tmp_path / "t.xlsx", {"设备!C2": "L9"})
    with pytest.raises(ConfigError, match="不能盖掉原件"):
        annotate_workbook(path, path, parse_register_file(path))


def test_the_canonical_json_has_no_place_for_a_form(tmp_path: Path) -> None:
    export_register(example_register(), tmp_path / "r.xlsx")
    assert json.loads(load_register(tmp_path / "r.xlsx").canonical_json()) == json.loads(
        example_register().canonical_json()
    )
