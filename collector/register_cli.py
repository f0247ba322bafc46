"""`plantproof register …`: import (apply), check, show, history, export, template.

In: a data folder and register files (xlsx, CSV, a folder of CSVs, TOML). Out: tables on stdout (JSON with --json), talk on stderr.
`import` shows what changes and asks; without a terminal it needs --yes. Times are printed in the plant's zone.
"""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from collector.cli import DEFAULT_DATA, AsJson, Data, _json
from config.errors import ConfigError, Problem
from config.wording import plant_time

if TYPE_CHECKING:
    from collector.register_revisions import RegisterRevision
    from config.register import Register
    from config.register_diff import RegisterDiff
    from config.tables.corrections import Parsed

app = typer.Typer(help="设备台账 (the register)", no_args_is_help=True)
FileArgument = Annotated[Path, typer.Argument(help="设备台账：.xlsx、.csv、CSV 文件夹或 .toml (register file)")]
OnDay = Annotated[str, typer.Option("--on", help="哪一天在用，如 2026-10-01，空为今天 (in force on that day)")]
Known = Annotated[str, typer.Option("--known", help="截至何时所知，如 2026-10-01T08:00，空为现在 (as known at)")]
_SHOWN = 40  # lines of each list that people see; --json has all


@app.command("import")
@app.command("apply")
def register_import(
    file: FileArgument,
    reason: Annotated[str, typer.Option("--reason", help="变更原因，审核员会看到 (why; the reviewer reads it)")],
    data: Data = DEFAULT_DATA,
    yes: Annotated[bool, typer.Option("--yes", help="不再询问 (do not ask)")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只预览，不启用 (preview only)")] = False,
    as_json: AsJson = False,
) -> None:
    """导入并启用一版设备台账：先列出变更，确认后启用 (preview, confirm, apply: a revision and a ledger leaf)."""
    from collector.change import need_reason
    from collector.clock import SystemClock
    from collector.folder import open_folder
    from collector.register_revisions import apply_register, need_reason_of_moves, preview

    folder, clock, talk = open_folder(data), SystemClock(), Console(stderr=True)
    parsed = _parsed(file, data)
    _corrections(talk, parsed)
    register = _sound(parsed)
    need_reason(reason)
    diff = preview(folder, register, clock)
    if as_json and dry_run:
        _json(_diff_json(diff))
    elif diff is not None:
        _show_diff(Console(stderr=as_json), diff, register.calendar.tz)
    if diff is None:
        _say("✔ 与现行台账相同，不产生新版 (same as the register in force: nothing to do)", as_json=as_json)
    if diff is None or dry_run:
        return
    need_reason_of_moves(diff.moves, reason)
    _confirmed(yes=yes)
    revision = apply_register(folder, file, reason, clock, getpass.getuser())
    if as_json:
        _json({"rev": revision.rev, "sha256": revision.sha256, **_diff_json(diff)})
        return
    devices = revision.register.devices
    Console().print(
        f"✔ 台账第 {revision.rev} 版 · {len(devices)} 台设备 · {sum(d.connection is not None for d in devices)} 台联网采集 · "
        f"{revision.sha256[:16]}",
        markup=False,
        soft_wrap=True,
    )


@app.command("check")
def register_check(
    file: FileArgument,
    annotate: Annotated[Path | None, typer.Option("--annotate", help="另存批注副本 .xlsx (annotated copy)")] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """只校验，不启用；可另存标出问题的副本 (check, apply nothing; --annotate writes a marked copy)."""
    parsed = _parsed(file, data)
    if annotate is not None:
        from config.tables.annotate import annotate_workbook

        lost = annotate_workbook(file, annotate, parsed)
        without = f"，不含原件的{'、'.join(lost)} (not carried over)" if lost else ""
        Console(stderr=True).print(f"批注副本 {annotate} (annotated copy){without}", markup=False, soft_wrap=True)
    if as_json:
        _json(
            {
                "problems": [{"where": p.where, "message": p.message, "fix": p.fix} for p in parsed.problems],
                "corrections": [
                    {"where": c.where, "found": c.found, "taken": c.taken, "note": c.note} for c in parsed.corrections
                ],
            }
        )
        raise typer.Exit(4 if parsed.problems else 0)
    _corrections(Console(stderr=True), parsed)
    register = _sound(parsed)
    Console().print(f"✔ {file}: {len(register.devices)} 台设备，没有问题 (no problems)", markup=False, soft_wrap=True)


@app.command("show")
def register_show(data: Data = DEFAULT_DATA, on: OnDay = "", known: Known = "", as_json: AsJson = False) -> None:
    """各版台账及其原因；--on、--known：某日在用的设备，及当时与现在所知之差 (revisions; the register in force on a day)."""
    from collector.folder import open_folder
    from collector.register_revisions import registers

    revisions = registers(open_folder(data))
    if on or known:
        _show_day(revisions, on, known, as_json=as_json)
        return
    zone = revisions[-1].register.calendar.tz if revisions else UTC
    rows = [
        {
            "rev": r.rev,
            "effective": _local(r.effective_us, zone),
            "devices": len(r.register.devices),
            "reason": r.reason,
            "actor": r.actor,
        }
        for r in revisions
    ]
    _rows(rows, ("版", "生效", "设备", "原因", "登记人"), as_json=as_json)


@app.command("history")
def register_history(
    device: Annotated[str, typer.Argument(help="设备编号 (device id)")],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """一台设备的每次变更：何时得知、谁登记、为什么 (every revision in which the device changed)."""
    from collector.folder import open_folder
    from collector.register_revisions import registers
    from config.register_diff import device_changes

    rows: list[dict[str, Any]] = []
    before, revisions = None, registers(open_folder(data))
    for r in revisions:
        now = r.register.device.get(device)
        for key, old, new in device_changes(before, now):
            when = _local(r.effective_us, r.register.calendar.tz)
            rows.append(
                {"rev": r.rev, "known": when, "key": key, "old": old, "new": new, "actor": r.actor, "reason": r.reason}
            )
        before = now
    if not rows:
        raise ConfigError([_no_device(device, revisions)])
    if not as_json:
        tz = revisions[-1].register.calendar.tz
        rows = [
            row | {"key": _field("device", row["key"])} | {k: plant_time(row[k], tz) for k in ("old", "new")}
            for row in rows
        ]
    _rows(rows, ("版", "得知", "项", "原为", "改为", "登记人", "原因"), as_json=as_json)


@app.command("export")
def register_export(
    output: Annotated[Path, typer.Option("-o", "--output", help=".xlsx、.csv、.toml 或文件夹 (file to write)")],
    data: Data = DEFAULT_DATA,
    on: OnDay = "",
    known: Known = "",
) -> None:
    """导出台账；--on：某日结束时生效的那一版，--known：截至某时所知 (export a revision)."""
    from collector.folder import open_folder
    from collector.register_revisions import registers
    from config.tables.register_writers import export_register

    revisions = registers(open_folder(data))
    zone = _zone(revisions)
    at_us = _moment("--known", known, zone) if known else _end_of("--on", on, zone) if on else None
    revision = _known_at(revisions, at_us)
    export_register(revision.register, output)
    _say(f"✔ {output}: 台账第 {revision.rev} 版，{len(revision.register.devices)} 台设备 (exported)", as_json=False)


@app.command("template")
def register_template(
    output: Annotated[Path, typer.Option("-o", "--output", help="要写的 .xlsx (workbook to write)")],
) -> None:
    """空白台账工作簿：每种协议一行样例、下拉选项、填写说明 (a workbook to fill in)."""
    from config.tables.template import example_register, write_template

    write_template(output)
    count = len(example_register().devices)
    _say(f"✔ {output}: 样例 {count} 行，填好后先删样例再 register check (a template)", as_json=False)


def _parsed(file: Path, data: Path) -> Parsed:
    from collector.folder import FolderError, open_folder
    from collector.register_revisions import registers
    from config.load import parse_register_file

    base = None
    if file.suffix.lower() == ".csv":  # devices only: the other sheets are those of the register in force
        try:
            revisions = registers(open_folder(data))
        except FolderError:
            revisions = []
        base = revisions[-1].register if revisions else None
    return parse_register_file(file, base)


def _sound(parsed: Parsed) -> Register:
    if parsed.register is None:
        raise ConfigError(list(parsed.problems))
    return parsed.register


def _confirmed(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        fix = "核对上面的变更后加 --yes (check the changes above, then add --yes)"
        raise ConfigError(
            [
                Problem(
                    "register import", "", "不在终端里，无法确认，没有启用 (no terminal to ask, nothing applied)", fix
                )
            ]
        )
    typer.confirm("启用这一版台账？(apply this register?)", abort=True, err=True)


def _corrections(out: Console, parsed: Parsed) -> None:
    from config.tables.corrections import gathered

    kinds = gathered(parsed.corrections)
    if not kinds:
        return
    out.print(f"按另一种写法读取的 {len(parsed.corrections)} 处 (taken in another form):", markup=False, soft_wrap=True)
    for first, count in kinds[:_SHOWN]:
        more = f" 等 {count} 处" if count > 1 else ""
        out.print(f"  {first}{more}", markup=False, soft_wrap=True)
    if len(kinds) > _SHOWN:
        out.print(f"  … 另有 {len(kinds) - _SHOWN} 类，见 --json 或批注副本", markup=False, soft_wrap=True)


def _show_diff(out: Console, diff: RegisterDiff, zone: timezone) -> None:
    from config.register_check import ZH

    names = ZH | {"calendar": "日历"}
    lines = []
    for table, change in diff.tables.items():
        for word, ids in (("新增", change.added), ("删去", change.removed)):
            if ids:
                more = " …" if len(ids) > 12 else ""
                lines.append(f"{names[table]} {word} {len(ids)}: {'、'.join(ids[:12])}{more}")
        lines += [
            plant_time(f"{names[table]} {i}: {_field(table, key)} {old or '（空）'} → {new or '（空）'}", zone)
            for i, fields in change.changed.items()
            for key, old, new in fields
        ]
    if diff.retired:
        lines.append(f"停用 {len(diff.retired)} 台: {'、'.join(diff.retired[:12])}")
    for line in lines[:_SHOWN]:
        out.print(line, markup=False, soft_wrap=True)
    if len(lines) > _SHOWN:
        out.print(
            f"… 另有 {len(lines) - _SHOWN} 行，--dry-run --json 列全 (more with --json)", markup=False, soft_wrap=True
        )
    for m in diff.moves[:_SHOWN]:
        out.print(f"分母 {m.metric} {m.scope}: {m.before} → {m.after}", markup=False, soft_wrap=True)


def _field(table: str, key: str) -> str:
    """What a key of the register is called in the workbook: `retired_at` -> 停用日期; a point's with the point's name."""
    from config.register_check import ZH
    from config.tables.register_sheets import SHEETS

    point, _, inner = key.rpartition(".") if key.startswith("point ") else ("", "", key)
    columns = {c.key.removeprefix("set."): c.zh for s in SHEETS if s.table == table for c in s.columns}
    words = columns.get(inner) or (ZH.get(inner) if inner == table else None) or inner
    return f"测点 {point.removeprefix('point ')} {words}" if point else words


def _diff_json(diff: RegisterDiff | None) -> dict[str, object]:
    if diff is None:
        return {"changed": False}
    return {
        "changed": True,
        "tables": {
            t: {"added": d.added, "removed": d.removed, "changed": {i: list(f) for i, f in d.changed.items()}}
            for t, d in diff.tables.items()
        },
        "retired": diff.retired,
        "denominators": [[m.metric, m.scope, m.before, m.after] for m in diff.moves],
    }


def _show_day(revisions: list[RegisterRevision], on: str, known: str, *, as_json: bool) -> None:
    from config.register_diff import compare, denominators

    zone = _zone(revisions)
    day = _day("--on", on) if on else datetime.now(zone).date()
    now = revisions[-1]
    chosen = _known_at(revisions, _moment("--known", known, zone) if known else None)
    other = now if known else _known_at(revisions, _end_of("--on", on, zone), none=True)
    devices = [
        d for d in chosen.register.devices if d.in_service_from <= day and not (d.retired_at and d.retired_at <= day)
    ]
    differs = compare(chosen.register if known else other.register if other else None, now.register, day)
    if as_json:
        members = [d.id for d in devices]
        counts = [[*k, n] for k, n in sorted(denominators(chosen.register, day).items())]
        _json(
            {
                "day": day.isoformat(),
                "rev": chosen.rev,
                "devices": members,
                "denominators": counts,
                "since": _diff_json(differs),
            }
        )
        return
    out = Console()
    when = _local(chosen.effective_us, zone)
    out.print(
        f"{day} 在用 {len(devices)} 台 · 台账第 {chosen.rev} 版（{when} 得知，{chosen.actor}：{chosen.reason}）",
        markup=False,
        soft_wrap=True,
    )
    for (metric, scope), count in sorted(denominators(chosen.register, day).items()):
        out.print(f"  分母 {metric} {scope}: {count}", markup=False, soft_wrap=True)
    then = chosen if known else other
    if then is None:
        out.print("当日还没有台账 (no register was known on that day)", markup=False, soft_wrap=True)
    elif then.rev == now.rev:
        out.print("此后没有新的变更 (nothing is known differently now)", markup=False, soft_wrap=True)
    else:
        out.print(f"当时所知（第 {then.rev} 版）与现在所知（第 {now.rev} 版）之差:", markup=False, soft_wrap=True)
        _show_diff(out, differs, zone)


def _known_at(revisions: list[RegisterRevision], at_us: int | None, *, none: bool = False) -> RegisterRevision:
    """The newest revision applied by then."""
    found = [r for r in revisions if at_us is None or r.effective_us <= at_us]
    if found:
        return found[-1]
    if none:
        return None  # type: ignore[return-value]
    raise ConfigError(
        [Problem("--known", "", "那时还没有台账 (no register was applied by then)", "plantproof register show")]
    )


def _zone(revisions: list[RegisterRevision]) -> timezone:
    if not revisions:
        raise ConfigError(
            [
                Problem(
                    "register",
                    "",
                    "还没有台账 (no register yet)",
                    "plantproof register import 设备台账.xlsx --reason …",
                )
            ]
        )
    return revisions[-1].register.calendar.tz


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError([Problem(option, "", f"应为日期，如 2026-10-01，实为 {text!r} (expected a day)")]) from None


def _end_of(option: str, text: str, zone: timezone) -> int:
    day = _day(option, text) if text else datetime.now(zone).date()
    return int(datetime.combine(day + timedelta(days=1), time(), zone).timestamp() * 1_000_000) - 1


def _moment(option: str, text: str, zone: timezone) -> int:
    if len(text) == 10:
        return _end_of(option, text, zone)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"应为时间，如 2026-10-01T08:00，实为 {text!r} (expected a time)"
        raise ConfigError([Problem(option, "", message)]) from None
    at = at if at.tzinfo else at.replace(tzinfo=zone)
    return int(at.timestamp() * 1_000_000)


def _no_device(device: str, revisions: list[RegisterRevision]) -> Problem:
    from config.wording import near

    known = sorted({i for r in revisions for i in r.register.device})
    return Problem(device, "", "各版台账里都没有这台设备 (no revision has this device)", near(device, known))


def _local(us: int, zone: timezone) -> str:
    return datetime.fromtimestamp(us // 1_000_000, zone).isoformat(sep=" ")


def _rows(rows: list[dict[str, object]], heads: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        _json(rows)
        return
    table = Table(*heads)
    for row in rows:
        table.add_row(*(str(v) for v in row.values()))
    Console().print(table)


def _say(text: str, *, as_json: bool) -> None:
    Console(stderr=as_json).print(text, markup=False, soft_wrap=True)
