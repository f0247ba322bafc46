"""Commands about 生产记录: import, list, show, quarantine, template, follow; and the exclusions (计划停机登记).

In: a data folder, record files. Out: tables on stdout in the plant's time (or JSON with --json, in UTC). Exit codes: 0 good, 3 rows went
to quarantine or there is no such batch, 4 a file was refused as a whole. `follow` is the process that `run` supervises when [records]
is configured.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from config.errors import ConfigError, Problem
from config.wording import CHINA, plant_time

if TYPE_CHECKING:
    from collector.folder import DataFolder
    from collector.intake.imports import Imported

app = typer.Typer(help="生产与企业记录、停机登记 (records and exclusions)", no_args_is_help=True)
Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
AsJson = Annotated[bool, typer.Option("--json", help="以 JSON 输出 (JSON on stdout)")]
Reason = Annotated[str, typer.Option("--reason", help="变更原因，审核员会看到 (why; the reviewer reads it)")]
DEFAULT_DATA = Path("plantproof-data")
SUFFIXES = (".csv", ".xlsx", ".json")
WORDS = {"accepted": "导入", "completed": "补全", "duplicates": "重复", "quarantined": "隔离"}
_SHOWN = 20


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="CSV、xlsx、JSON 文件，或含这些文件的文件夹 (files or folders)")],
    reason: Reason,
    kind: Annotated[
        str | None, typer.Option(help="记录种类，如 batches；缺省由文件名、工作表名或表头判断 (kind)")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="允许更改已导入的内容 (may change what was imported)")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查，不导入 (check only)")] = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """导入记录：能用的行导入，有问题的行隔离并说明原因 (import: good rows in, others aside with their reason)."""
    from collector.clock import SystemClock
    from collector.folder import open_folder
    from collector.intake.imports import import_deliveries
    from collector.intake.tables import delivery_of_file

    deliveries = [delivery_of_file(p, kind) for p in _files(paths)]
    done = import_deliveries(
        open_folder(data),
        deliveries,
        reason=reason,
        clock=SystemClock(),
        actor=getpass.getuser(),
        replace=replace,
        dry_run=dry_run,
    )
    if as_json:
        _json(_plain(done))
    else:
        _show(done, _zone(open_folder(data)), dry_run=dry_run)
    raise typer.Exit(3 if done.quarantined else 0)


@app.command("list")
def list_(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """列出各次导入 (imports, newest last)."""
    from collector.folder import open_folder
    from collector.ledger.log import read_of
    from collector.record_revisions import imports

    folder = open_folder(data)
    rows: list[dict[str, Any]] = [
        {
            "rev": r.rev,
            "entered": _iso(r.entered_us),
            **r.counts,
            "files": [s["name"] for s in r.sources],
            "actor": r.actor,
            "reason": r.reason,
        }
        for r in imports(folder)
    ]
    if as_json:
        _json(rows)
        return
    tz = _zone(folder)
    table = Table("版", "时间", *WORDS.values(), "文件", "登记人", "原因")
    for row in rows:
        files = "、".join(row["files"][:3]) + (f" 等 {len(row['files'])} 份" if len(row["files"]) > 3 else "")
        cells = (
            row["rev"],
            plant_time(row["entered"], tz),
            *(row[o] for o in WORDS),
            files,
            row["actor"],
            row["reason"],
        )
        table.add_row(*(str(c) for c in cells))
    Console().print(table)
    others = [str(e.body["rev"]) for e in read_of(folder.ledger, "records") if e.body["kind"] != "import"]
    if others:
        words = f"第 {'、'.join(others)} 版是停机登记，不是导入：plantproof records exclusion list (exclusions, not imports)"
        Console().print(words, markup=False, soft_wrap=True)


@app.command("show")
def show(
    batch: Annotated[str, typer.Argument(help="批次号 (batch id)")], data: Data = DEFAULT_DATA, as_json: AsJson = False
) -> None:
    """一个批次的产品档案：物料、工序、检验、出入库、上下游批次 (everything about one batch)."""
    from collector.folder import open_folder
    from collector.intake.dossier import dossier
    from collector.intake.known import Known
    from collector.revisions import registers
    from config.record_kinds import KINDS

    folder = open_folder(data)
    known, revisions = Known(folder), registers(folder)
    known.catch_up()
    found = dossier(known, batch, revisions[-1].register.calendar.tz) if revisions else None
    if found is None:
        Console(stderr=True).print(f"✘ 没有这个批次：{batch} (no such batch)", markup=False)
        raise typer.Exit(3)
    if as_json:
        rows = {kind: list(of_kind) for kind, of_kind in found.rows.items()}
        _json({"batch_id": batch, "rows": rows, "before": found.before, "after": found.after})
        return
    out = Console()
    out.print(f"产品档案 {batch}", markup=False)
    for kind, of_kind in found.rows.items():
        columns = [c for c in KINDS[kind].columns if any(row[c.name] for row in of_kind)]
        table = Table(*(c.zh for c in columns), title=KINDS[kind].zh, title_justify="left")
        for row in of_kind:
            table.add_row(*(row[c.name] for c in columns))
        out.print(table)
    for words, relatives in (("来自", found.before), ("去向", found.after)):
        if relatives:
            out.print(f"{words}: " + "、".join(f"{b}（{how}）" for b, how in relatives), markup=False)


@app.command("quarantine")
def quarantine(
    revision: Annotated[int | None, typer.Option("--revision", help="只看这一版 (of one revision)")] = None,
    kind: Annotated[str | None, typer.Option(help="只看这一种 (one kind)")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV，可改正后重新导入 (CSV to fix and import again)")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="每种一个 CSV 写入此目录 (a CSV per kind)")
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """被隔离的行及其原因 (rows that were kept aside, and why)."""
    from collector.durable import write_durably
    from collector.folder import open_folder
    from collector.intake.quarantine import quarantined, to_fix
    from config.record_kinds import KINDS

    folder = open_folder(data)
    rows = [r for r in quarantined(folder, revision) if kind is None or r["kind"] == kind]
    kinds = list(dict.fromkeys(r["kind"] for r in rows))
    if output is not None:
        for name in kinds:
            path = output / f"{KINDS[name].zh}-隔离.csv"
            write_durably(path, to_fix([r for r in rows if r["kind"] == name], _zone(folder)))
            typer.echo(str(path))
    elif as_csv:
        if len(kinds) > 1:
            problem = Problem(
                "--csv", "", f"有几种记录：{'、'.join(kinds)} (several kinds)", "加 --kind，或用 -o 目录 (or -o)"
            )
            raise ConfigError([problem])
        typer.echo(to_fix(rows, _zone(folder)).decode("utf-8-sig") if rows else "", nl=False)
    elif as_json:
        _json([{**r, "cells": json.loads(r["cells"])} for r in rows])
    else:
        tz = _zone(folder)
        table = Table("版", "种类", "文件", "行", "原因")
        for r in rows:
            words = plant_time(r["words"], tz)
            table.add_row(str(r["rev"]), KINDS[r["kind"]].zh, r["name"], r["source_row"], words)
        Console().print(table)


@app.command("template")
def template(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="文件夹（每种一个 CSV）或 .xlsx 文件 (folder or xlsx)")
    ],
) -> None:
    """写出空表：列名、须填与否、可填的词 (empty forms)."""
    from collector.durable import write_durably
    from collector.intake.dossier import template_csv, template_xlsx
    from config.record_kinds import KINDS

    if output.suffix.lower() == ".xlsx":
        write_durably(output, template_xlsx())
    else:
        for kind in KINDS.values():
            write_durably(output / f"{kind.zh}.csv", template_csv(kind))
    Console().print(f"✔ {output}", markup=False)


@app.command("follow", hidden=True)
def follow(
    data: Data = DEFAULT_DATA,
    config: Annotated[Path, typer.Option("--config", help="设置文件 (settings)")] = Path("plantproof.toml"),
) -> None:
    """The process that takes records in; `run` supervises it."""
    import asyncio

    from collector.clock import SystemClock
    from collector.folder import open_folder
    from collector.intake.follow import follow as follow_
    from config.load import load_settings
    from config.settings import RecordsTable

    settings = load_settings(config).records if config.exists() else None
    try:
        asyncio.run(follow_(open_folder(data), settings or RecordsTable(), SystemClock()))
    except ExceptionGroup as err:
        raise err.exceptions[0] from err  # the front door knows words and a code for each of them


def _files(paths: Sequence[Path]) -> list[Path]:
    found = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith((".", "~$"))]
            if not inside:
                raise ConfigError([Problem(str(path), "", "文件夹里没有 csv、xlsx 或 json (no record files in it)")])
            found += sorted(inside)
        else:
            found.append(path)
    return found


def _plain(done: Imported) -> dict[str, Any]:
    return {
        "revision": done.rev,
        "rows": done.rows,
        "counts": {k: dict(v) for k, v in done.counts.items()},
        "quarantine": [
            {
                "kind": r.offered.row.kind.name,
                "name": r.offered.name,
                "row": r.offered.row.number,
                "code": [f.code for f in r.faults],
                "words": "；".join(f.words for f in r.faults),
                "cells": r.offered.row.raw,
            }
            for r in done.quarantined
        ],
        "corrections": [
            {"name": n, "row": c.number, "column": c.column, "found": c.found, "taken": c.taken}
            for n, c in done.corrections
        ],
        "recognised": list(done.recognised),
    }


def _show(done: Imported, tz: timezone, *, dry_run: bool) -> None:
    from config.record_kinds import KINDS

    out = Console()
    table = Table("种类", *WORDS.values())
    for name, counts in done.counts.items():
        table.add_row(KINDS[name].zh, *(str(counts[o]) for o in WORDS))
    out.print(table)
    for name, c in done.corrections[:_SHOWN]:
        taken = plant_time(c.taken, tz)
        out.print(f"  更正 {name}:{c.number} {c.column}: {c.found} → {taken}", markup=False)
    if len(done.corrections) > _SHOWN:
        out.print(f"  …… 共更正 {len(done.corrections)} 处，见 corrected.csv", markup=False)
    for refused in done.quarantined[:_SHOWN]:
        words = plant_time("；".join(f.words for f in refused.faults), tz)
        out.print(f"  隔离 {refused.offered.name}:{refused.offered.row.number}: {words}", markup=False)
    if len(done.quarantined) > _SHOWN:
        out.print(f"  …… 共隔离 {len(done.quarantined)} 行：plantproof records quarantine", markup=False)
    if dry_run:
        out.print("只是检查，什么都没有导入 (checked only)", markup=False)
    elif done.rev is None:
        out.print("这些文件以前导入过，没有新内容 (imported before, nothing new)", markup=False)
    else:
        out.print(f"✔ 记录第 {done.rev} 版 (revision {done.rev})", markup=False)


def _zone(folder: DataFolder) -> timezone:
    """The plant's, as its newest register says; China's before there is one."""
    from collector.revisions import registers

    revisions = registers(folder)
    return revisions[-1].register.calendar.tz if revisions else CHINA


def _iso(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(body: Any) -> None:
    typer.echo(json.dumps(body, ensure_ascii=False, sort_keys=True))
