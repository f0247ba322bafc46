"""Records as plants export them: read in three encodings, refused as a whole with every place that is wrong."""

from __future__ import annotations

import csv
import io
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.load import parse_register
from config.records import COLUMNS, RecordSet, parse_records
from config.register import Register

BAD = Path(__file__).parents[1] / "bad" / "records"
GOOD = {
    "batches.csv": "batch_id,product,quantity,closed_at,trial\nB01,轴,10.5,2026-09-20T16:00:00,0\nB02,轴,,,1\n",
    "operations.csv": (
        "batch_id,process_id,device_id,start,end,operator,program\n"
        "B01,P1,M1,2026-09-10T08:00:00,2026-09-10T02:00:00Z,张三,O100\nB01,P1,M1,2026-09-11T08:00:00+08:00,,,\n"
    ),
    "lots.csv": "supplier_lot,batch_id,item,lot_id\nS1,B01,45钢,K1\n,B02,45钢,K1\n",
    "inspections.csv": "batch_id,process_id,at,result\nB01,P1,2026-09-10 18:00,pass\n",
    "shipments.csv": "batch_id,at,kind,document\n\nB01,2026-09-21T08:00:00,ship,FH01\n",
}


@pytest.fixture
def register() -> Register:
    body = {
        "format": "plantproof-register/1",
        "line": [{"id": "L1", "name": "一线"}],
        "process": [{"id": "P1", "name": "车", "line": "L1"}],
        "device": [{"id": "M1", "name": "车床", "line": "L1", "in_service_from": "2025-01-01"}],
    }
    return parse_register(body, "test")


def _write(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    for name, text in files.items():
        (folder / name).write_bytes(text.encode(encoding))
    return folder


def _us(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_five_files_are_read_in_the_encodings_of_chinese_excel(
    tmp_path: Path, register: Register, encoding: str
) -> None:
    records = parse_records(_write(tmp_path, GOOD, encoding), register)
    assert records.counts == {
        "batches.csv": 2,
        "operations.csv": 2,
        "lots.csv": 2,
        "inspections.csv": 1,
        "shipments.csv": 1,
    }
    assert records.batches[0].product == "轴"
    assert records.batches[0].quantity == "10.5"


def test_time_without_offset_is_plant_time(tmp_path: Path, register: Register) -> None:
    records = parse_records(_write(tmp_path, GOOD), register)
    assert records.batches[0].closed_us == _us(2026, 9, 20, 8)
    assert records.operations[0].end_us == _us(2026, 9, 10, 2)
    assert records.inspections[0].at_us == _us(2026, 9, 10, 10)


def test_what_is_missing_is_kept_as_missing(tmp_path: Path, register: Register) -> None:
    records = parse_records(_write(tmp_path, GOOD), register)
    assert records.batches[1].closed_us is None
    assert records.batches[1].trial
    assert (records.operations[1].end_us, records.operations[1].operator, records.operations[1].program) == (
        None,
        "",
        "",
    )
    assert records.lots[1].supplier_lot == ""


def test_missing_file_is_named(tmp_path: Path, register: Register) -> None:
    _write(tmp_path, GOOD)
    (tmp_path / "lots.csv").unlink()
    with pytest.raises(ConfigError, match=r"lots\.csv: 没有这个文件"):
        parse_records(tmp_path, register)


@pytest.mark.parametrize("case", sorted(p.name for p in BAD.iterdir()))
def test_refused_records_name_file_line_and_column(tmp_path: Path, register: Register, case: str) -> None:
    _write(tmp_path, GOOD)
    for file in (BAD / case).glob("*.csv"):
        shutil.copy(file, tmp_path / file.name)
    with pytest.raises(ConfigError) as refusal:
        parse_records(tmp_path, register)
    for message in (BAD / case / "message.txt").read_text(encoding="utf-8").splitlines():
        assert f"{tmp_path}: {message}" in str(refusal.value)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp", "Cs"]), min_size=1),
            st.integers(0, 4_000_000_000),
        ),
        unique_by=lambda x: x[0],
        max_size=5,
    )
)
def test_batches_come_back_as_they_were_written(batches: list[tuple[str, int]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS["batches.csv"])
    for name, closed_s in batches:
        writer.writerow([name, "轴", "1", datetime.fromtimestamp(closed_s, UTC).isoformat(), "0"])
    found = _parse_texts({**{n: ",".join(c) + "\n" for n, c in COLUMNS.items()}, "batches.csv": out.getvalue()})
    assert [(b.batch_id, b.closed_us) for b in found.batches] == [(n, s * 1_000_000) for n, s in batches]


def _parse_texts(files: dict[str, str]) -> RecordSet:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        return parse_records(_write(Path(place), files), parse_register({"format": "plantproof-register/1"}, "test"))
