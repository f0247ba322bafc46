"""Commands of the collector: init, run, status, records, store (register: register_cli.py).

In: a data folder and files a person wrote. Out: tables on stdout (or JSON with --json), talk on stderr. Errors travel up to the front door
(plantproof.py), which gives them their exit code. Nothing here is imported by the web process.
"""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from config.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collector.folder import DataFolder
    from config.register import Register

root = typer.Typer()
exclusion_app = typer.Typer(help="计划停机登记 (exclusions)", no_args_is_help=True)
store_app = typer.Typer(help="数据存储 (the store)", no_args_is_help=True)

DEFAULT_DATA = Path("plantproof-data")
SETTINGS = Path("plantproof.toml")
Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
AsJson = Annotated[bool, typer.Option("--json", help="以 JSON 输出 (JSON on stdout)")]
AcceptClock = Annotated[
    bool,
    typer.Option(
        "--accept-clock", help="停采多日且未同步时，确认本机时钟无误 (the clock is right after days of downtime)"
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="变更原因，审核员会看到 (why; the reviewer reads it)")]


@root.command()
def init(
    name: Annotated[str, typer.Option(prompt="企业名称", help="企业名称 (plant name)")],
    credit_code: Annotated[str, typer.Option(prompt="统一社会信用代码", help="18 位 (unified social credit code)")],
    site: Annotated[str, typer.Option(help="厂区地址 (site)")] = "",
    config: Annotated[Path, typer.Option("--config", help="设置文件 (settings file to write)")] = SETTINGS,
    data: Data = DEFAULT_DATA,
) -> None:
    """建立数据目录、密钥和设置文件 (make the data folder, its keys and plantproof.toml)."""
    from collector.clock import SystemClock
    from collector.durable import write_durably
    from collector.folder import create_folder
    from config.load import parse_settings
    from config.settings import settings_text

    if config.exists():
        raise ConfigError(
            [Problem(str(config), "", "expected no file, found one", "换一个 --config，或先移走它 (move it away)")]
        )
    text = settings_text(name, credit_code, site, data)
    settings = parse_settings(text, str(config))
    folder = create_folder(data, settings.plant, "live", SystemClock())
    write_durably(config, text.encode())
    out = Console()
    out.print(f"✔ 数据目录 {folder.path}   设置 {config}   账本 {_origin(folder)}", markup=False)
    out.print("  公钥 (public key) " + folder.genesis["public_key"], markup=False)
    out.print(f"下一步: plantproof register import 设备台账.xlsx --reason 首次建立 --data {data}", markup=False)


@root.command()
def run(
    data: Data = DEFAULT_DATA,
    config: Annotated[Path, typer.Option("--config", help="设置文件 (settings)")] = SETTINGS,
    port: Annotated[int | None, typer.Option(help="页面端口，默认取设置 (web port)")] = None,
    accept_clock: AcceptClock = False,
) -> None:
    """采集并提供页面，直到 Ctrl+C (collect and serve pages until stopped)."""
    from collector.folder import open_folder
    from collector.supervise import supervise

    open_folder(data)
    settings = _settings(config)
    web = settings.web.port if port is None else port
    where = ["--data", str(data), "--config", str(config)]
    processes = {
        "collector": ["collect", *where, *(["--accept-clock"] if accept_clock else [])],
        "web": ["serve", "--data", str(data), "--port", str(web)],
    }
    if settings.records is not None:
        processes["intake"] = ["records", "follow", *where]
    raise typer.Exit(supervise(processes))


@root.command(hidden=True)
def collect(
    data: Data = DEFAULT_DATA,
    config: Annotated[Path, typer.Option("--config")] = SETTINGS,
    accept_clock: AcceptClock = False,
) -> None:
    """The collector process alone; `run` supervises it."""
    import gc

    import uvloop

    from collector.folder import open_folder
    from collector.run import Collector

    collector = Collector(open_folder(data), _settings(config).store, accept_clock=accept_clock)
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # rows are many small objects that live for a second; none of them are rings
    uvloop.run(collector.run())


@root.command()
def status(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """每台设备最近一次采集 (the newest contact of every device)."""
    from collector.folder import open_folder
    from collector.ledger import log
    from collector.revisions import registers

    folder = open_folder(data)
    path = folder.state / "devices.json"
    state: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"running": False, "devices": {}}
    newest = log.last_of(folder.ledger, "seal")
    state["newest_seal"] = newest.body["hour"] if newest else None
    revisions = registers(folder)
    names, zone = _collected(revisions[-1].register) if revisions else ({}, UTC)
    if as_json:
        _json(state)
        return
    table = Table("设备", "名称", "最近结果", "时间")
    for device, name in names.items():
        seen = state["devices"].get(device)
        table.add_row(device, name, _outcome(seen), _local(seen["at_us"], zone) if seen else "—")
    out = Console()
    out.print(table)
    running = "运行中" if state["running"] else "未运行"
    out.print(f"采集 {running} · 最新封存小时 {state['newest_seal'] or '无'}", markup=False)


@exclusion_app.command("add")
def exclusion_add(
    device: Annotated[list[str], typer.Option("--device", help="设备编号，可多次 (device id, repeatable)")],
    start: Annotated[str, typer.Option("--from", help="开始 ISO 8601，如 2026-10-01T08:00+08:00")],
    end: Annotated[str, typer.Option("--to", help="结束 (end)")],
    reason: Reason,
    approver: Annotated[str, typer.Option(help="批准人 (who approved it)")],
    data: Data = DEFAULT_DATA,
) -> None:
    """登记计划停机：开始后 72 小时内登记才能扣除 (counts only when entered within 72 h of its start)."""
    from collector.clock import SystemClock
    from collector.folder import open_folder
    from collector.revisions import add_exclusion

    clock = SystemClock()
    from_us, to_us = _moment("--from", start), _moment("--to", end)
    found = add_exclusion(
        open_folder(data),
        tuple(device),
        from_us,
        to_us,
        reason=reason,
        approver=approver,
        clock=clock,
        actor=getpass.getuser(),
    )
    late = found.entered_us - found.from_us > 72 * 3_600_000_000
    out = Console()
    out.print(f"✔ {found.id} 已登记 · {len(found.devices)} 台", markup=False)
    if late:
        out.print("  开始已超过 72 小时：会列出，但不扣除 (entered late: shown, does not count)", markup=False)


@exclusion_app.command("list")
def exclusion_list(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """列出停机登记 (list exclusions)."""
    from collector.folder import open_folder
    from collector.revisions import exclusions, registers
    from config.wording import CHINA, plant_time

    folder = open_folder(data)
    rows: list[dict[str, object]] = [
        {"id": x.id, "devices": " ".join(x.devices), "from": _iso(x.from_us), "to": _iso(x.to_us), "reason": x.reason}
        for x in exclusions(folder)
    ]
    if not as_json:
        revisions = registers(folder)
        tz = revisions[-1].register.calendar.tz if revisions else CHINA
        rows = [row | {k: plant_time(str(row[k]), tz) for k in ("from", "to")} for row in rows]
    _rows(rows, ("编号", "设备", "开始", "结束", "原因"), as_json=as_json)


@store_app.command("maintain")
def store_maintain(
    data: Data = DEFAULT_DATA, quiet: Annotated[bool, typer.Option("--quiet", help="无事不出声")] = False
) -> None:
    """把日志整理为数据段、封存小时、合并日文件 (segments, seals, merges; safe to repeat)."""
    from collector.folder import open_folder
    from collector.maintain import maintain

    report = maintain(open_folder(data))
    if not quiet or report.quarantined:
        Console(stderr=True).print(
            f"数据段 {report.segments} · 封存 {report.sealed} 小时 · 合并 {report.merged} · 清理日志 {report.removed}"
            + "".join(f"\n  不认识的文件已移至 {q}" for q in report.quarantined),
            markup=False,
        )


@store_app.command("restore-lines")
def store_restore_lines(data: Data = DEFAULT_DATA) -> None:
    """由原始数据重算小时行并与账本核对 (hour lines again from raw rows, checked against the ledger)."""
    from collector.folder import open_folder
    from collector.recompute import restore_lines

    done, wrong = restore_lines(open_folder(data))
    out = Console()
    out.print(f"{'✔' if not wrong else '✘'} {done} 小时与封存一致，{len(wrong)} 小时不一致", markup=False)
    for hour in wrong:
        out.print(f"  {hour}: 重算的根与封存的不同 (root differs from the seal)", markup=False)
    raise typer.Exit(6 if wrong else 0)


def _settings(path: Path) -> Any:
    from config.load import load_settings
    from config.settings import DEMO_PLANT, Settings

    return load_settings(path) if path.exists() else Settings(plant=DEMO_PLANT)


def _moment(option: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        fix = "例如 2026-10-01T08:00+08:00 (time with its offset)"
        raise ConfigError([Problem(option, "", f"expected a time with its offset, found {text!r}", fix)])
    return int(at.timestamp() * 1_000_000)


def _origin(folder: DataFolder) -> str:
    from collector.ledger.checkpoint import origin_of

    return origin_of(folder.genesis_line)


def _outcome(seen: dict[str, Any] | None) -> str:
    words = {
        "ok": "正常",
        "confirmed": "正常",
        "timeout": "超时",
        "refused": "拒绝连接",
        "unreachable": "不可达",
        "disconnected": "连接中断",
        "protocol": "协议不符",
        "device_failure": "设备故障",
        "silent": "无消息",
        "rejected": "内容无法识别",
        "overflow": "有丢失",
        "denied": "认证被拒",
    }
    return words[seen["outcome"]] if seen else "尚未采集"


def _iso(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _local(us: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(us // 1_000_000, zone).strftime("%Y-%m-%d %H:%M:%S")


def _collected(register: Register) -> tuple[dict[str, str], tzinfo]:
    """Names of the devices that are collected today, and the plant's time zone."""
    zone = register.calendar.tz
    today = datetime.now(zone).date()
    devices = [d for d in register.devices if d.connection and (d.retired_at is None or d.retired_at > today)]
    return {d.id: d.name for d in devices}, zone


def _rows(rows: list[dict[str, Any]], heads: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        _json(rows)
        return
    table = Table(*heads)
    for row in rows:
        table.add_row(*(str(v) for v in row.values()))
    Console().print(table)


def _json(body: Any) -> None:
    typer.echo(json.dumps(body, ensure_ascii=False, sort_keys=True))
