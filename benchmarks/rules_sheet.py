"""A register workbook of 5,000 rows with 200 planted errors, one to a cell, of eight kinds that plants really make.

In: a folder. Out: the xlsx and how many errors are in it. Written once by openpyxl, outside of what is measured.
"""

from __future__ import annotations

from pathlib import Path

from openpyxl import Workbook

ROWS, ERRORS = 5_000, 200
DEVICE_HEAD = ("设备编号", "设备名称", "产线", "工序", "数控", "投用日期", "采集间隔", "小时产能", "关键技术装备")
LINE_ROWS, PROCESS_ROWS = 20, 180
DEVICE_ROWS = ROWS - LINE_ROWS - PROCESS_ROWS
WRONG = (  # column, what somebody typed
    (0, "A B,C"),
    (2, "L99"),
    (3, "GX-999"),
    (4, "也许"),
    (5, "2024-02-30"),
    (6, "很快"),
    (7, "-3"),
    (8, "拖拉机"),
)


def write_sheet(place: Path) -> Path:
    """The workbook: lines, processes and devices; every twenty-fourth device has one wrong cell until there are enough."""
    book = Workbook(write_only=True)
    lines = book.create_sheet("产线")
    lines.append(("产线编号", "产线名称", "代表产线"))
    for n in range(1, LINE_ROWS + 1):
        lines.append((f"L{n:02d}", f"产线 {n}", "是" if n == 1 else "否"))
    processes = book.create_sheet("工序")
    processes.append(("工序编号", "工序名称", "产线", "关键工序"))
    for n in range(1, PROCESS_ROWS + 1):
        processes.append((f"GX-{n:03d}", f"工序 {n}", f"L{_line_of(n):02d}", "√" if n % 3 else "否"))
    devices = book.create_sheet("设备")
    devices.append(DEVICE_HEAD)
    left = ERRORS
    for n in range(1, DEVICE_ROWS + 1):
        process = (n - 1) % PROCESS_ROWS + 1
        row: list[object] = [f"SB-{n:05d}", f"数控车床 {n}", f"L{_line_of(process):02d}", f"GX-{process:03d}"]
        row += ["是" if n % 4 else "否", "2024-03-01", 60, 12.5, "高档数控机床" if n % 4 else ""]
        if n % 24 == 0 and left:
            column, typed = WRONG[left % len(WRONG)]
            row[column] = typed
            left -= 1
        devices.append(row)
    path = place / "设备台账.xlsx"
    book.save(path)
    return path


def _line_of(process: int) -> int:
    return (process - 1) % LINE_ROWS + 1
