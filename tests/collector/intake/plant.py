"""A small plant whose records are handed in: two processes, two machines, a clock at 2026-10-01T00:00Z."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder
from collector.intake.imports import Imported, import_deliveries
from collector.intake.tables import Delivery
from collector.register_revisions import apply_register
from tests.builders import PLANT, SEEDS

NOW_US = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()) * 1_000_000
REGISTER = """format = "plantproof-register/1"
[[line]]
id = "L1"
name = "一线"
[[process]]
id = "P1"
name = "车"
line = "L1"
[[process]]
id = "P2"
name = "铣"
line = "L1"
[[device]]
id = "M1"
name = "车床"
line = "L1"
in_service_from = 2025-01-01
[[device]]
id = "M2"
name = "铣床"
line = "L1"
in_service_from = 2025-01-01
"""
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


class RecordsPlant:
    """A data folder with a register, and short ways to hand records in."""

    def __init__(self, path: Path, *, register: bool = True) -> None:
        self.clock = DrivenClock(NOW_US)
        self.folder: DataFolder = create_folder(path / "data", PLANT, "simulated", self.clock, seeds=SEEDS)
        if register:
            file = path / "register.toml"
            file.write_text(REGISTER, encoding="utf-8")
            apply_register(self.folder, file, "首次建立台账", self.clock, "tester")

    def csv(self, *files: tuple[str, str], replace: bool = False, dry_run: bool = False) -> Imported:
        """Import (name, text) pairs in one revision."""
        return self.take(*(Delivery(n, t.encode(), "csv") for n, t in files), replace=replace, dry_run=dry_run)

    def take(self, *deliveries: Delivery, replace: bool = False, dry_run: bool = False) -> Imported:
        """Import deliveries in one revision."""
        return import_deliveries(
            self.folder,
            deliveries,
            reason="月度导入",
            clock=self.clock,
            actor="tester",
            replace=replace,
            dry_run=dry_run,
        )

    def good(self) -> Imported:
        """The five files of `GOOD`."""
        return self.csv(*GOOD.items())


def balanced(done: Imported) -> bool:
    """Every row of the delivery is in exactly one place."""
    return done.rows == sum(done.total(o) for o in ("accepted", "completed", "duplicates", "quarantined"))


def table(heads: Sequence[str], *rows: Sequence[object]) -> str:
    """CSV text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return out.getvalue()
