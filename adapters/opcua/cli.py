"""`plantproof opcua browse` and `diff`: what a server has, as a point list to review; and what changed since the register was written.

In: an endpoint, or a device of a register, whose connection (security, user, limits) is used. Out: TOML or JSON on stdout or into a file,
talk on stderr. Reads only: no write, no method call, nothing stored.
Exit codes: 0 good, 2 usage, 3 ran and found problems (walk incomplete, or the register does not fit), 4 register invalid, 5 not reachable.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

from adapters.opcua.security import cli as certificates_cli

if TYPE_CHECKING:
    from rich.console import Console

    from adapters.opcua.browsing.browse import Progress
    from adapters.opcua.browsing.difference import Difference
    from adapters.opcua.browsing.proposal import Proposal, Sheet
    from adapters.opcua.browsing.survey import Survey
    from config.connections import OpcUa
    from config.register import Device, Register

app = typer.Typer(help="OPC UA 浏览与比对 (browse a server, compare it with the register)", no_args_is_help=True)
app.add_typer(certificates_cli.app, name="cert")

_PATIENCE_MS = 10_000  # a look asks for more at once than a poll does
_DEFAULT_DATA = Path("plantproof-data")
Endpoint = Annotated[
    str | None, typer.Argument(help="服务器地址 opc.tcp://主机:端口，缺省取 --device 的地址 (default: the device's)")
]
RegisterFile = Annotated[Path | None, typer.Option("--register", help="设备台账文件 (register file)")]
DeviceId = Annotated[
    str | None, typer.Option("--device", help="用这台设备的连接与安全设置 (use this device's connection)")
]
Data = Annotated[Path, typer.Option("--data", help="数据目录，取其中 keys/ 的证书 (data folder, for its certificates)")]
Root = Annotated[str | None, typer.Option("--root", help="从哪个节点起，如 nsu=urn:x;s=车间 (node to start from)")]
Depth = Annotated[int | None, typer.Option("--depth", min=1, help="最多几层对象，缺省不限 (levels of objects)")]
Most = Annotated[int, typer.Option("--most", min=1, help="最多几个节点 (nodes at most)")]
AsJson = Annotated[bool, typer.Option("--json", help="以 JSON 输出到标准输出 (JSON on stdout)")]


@app.command()
def browse(
    endpoint: Endpoint = None,
    root: Root = None,
    depth: Depth = None,
    out: Annotated[Path | None, typer.Option("--out", help="写到这个文件，缺省标准输出 (file to write)")] = None,
    register: RegisterFile = None,
    device: DeviceId = None,
    data: Data = _DEFAULT_DATA,
    most: Most = 200_000,
    kind: Annotated[
        str, typer.Option("--kind", help="event 订阅，wide 轮询 (subscription or polls)", metavar="event|wide")
    ] = "",
    properties: Annotated[
        bool, typer.Option("--properties", help="也列出对象的属性 (properties of objects too)")
    ] = False,
    one_device: Annotated[
        bool, typer.Option("--one-device", help="不拆成多台设备 (do not split equal objects into devices)")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """浏览服务器，给出待核对的测点与设备 (propose points and devices)."""
    from adapters.opcua.browsing.proposal import propose
    from adapters.opcua.browsing.survey import OBJECTS, survey

    if out is not None and out.exists():
        raise typer.BadParameter(f"{out}: 文件已存在, 换个名字或先删去 (the file exists)", param_hint="--out")
    if kind not in ("", "event", "wide"):
        raise typer.BadParameter(f"{kind}: 只能是 event 或 wide (expected event or wide)", param_hint="--kind")
    if out is not None and not out.parent.is_dir():
        raise typer.BadParameter(f"{out.parent}: 没有这个目录 (no such folder)", param_hint="--out")
    connection, _, _ = _connection(endpoint, register, device)
    kind = kind or ("wide" if device is not None and connection.mode == "poll" else "event")
    with _quiet(), _progress() as progress:
        found = _run(
            survey(_patient(connection), _keys(data), root=root or OBJECTS, depth=depth, most=most, progress=progress)
        )
    label = found.facts.get("product_name", "")
    proposal = propose(found.space, found.known, found.machines, label, properties=properties, one_device=one_device)
    _write(out, _json(found, proposal, connection) if as_json else _toml(found, proposal, connection, kind))
    _summary(found, proposal, out)
    raise typer.Exit(0 if found.is_complete else 3)


@app.command()
def diff(
    endpoint: Endpoint = None,
    register: RegisterFile = None,
    device: DeviceId = None,
    data: Data = _DEFAULT_DATA,
    root: Root = None,
    depth: Depth = None,
    most: Most = 200_000,
    strict: Annotated[
        bool, typer.Option("--strict", help="台账没有的节点也算问题 (nodes the register lacks count as problems)")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """比对服务器与台账中的设备 (what is gone, changed, new)."""
    from adapters.opcua.browsing.difference import compare
    from adapters.opcua.said import json_text

    if register is None or device is None:
        raise typer.BadParameter("需要 --register 和 --device (both are needed)", param_hint="--register/--device")
    connection, loaded, chosen = _connection(endpoint, register, device)
    if loaded is None or chosen is None:
        raise AssertionError("a register and a device were given")
    with _quiet(), _progress() as progress:
        found = _run(
            compare(
                loaded, chosen, _patient(connection), _keys(data), root=root, depth=depth, most=most, progress=progress
            )
        )
    if as_json:
        sys.stdout.write(json_text(found.as_json(), indent=1) + "\n")
    else:
        _show_difference(found)
    wrong = found.is_wrong or (strict and bool(found.extra))
    raise typer.Exit(3 if wrong or not found.complete else 0)


def _connection(
    endpoint: str | None, register: Path | None, device: str | None
) -> tuple[OpcUa, Register | None, Device | None]:
    """The connection to use: of the register's device, its address replaced by `endpoint` when that is given."""
    from pydantic import ValidationError

    from config.connections import OpcUa

    loaded: Register | None = None
    chosen: Device | None = None
    if register is not None or device is not None:
        loaded, chosen = _device(register, device)
    base = chosen.connection if chosen is not None else None
    if not isinstance(base, OpcUa) and endpoint is None:
        raise typer.BadParameter("需要服务器地址 opc.tcp://… (expected an endpoint)", param_hint="ENDPOINT")
    if endpoint is None:
        return base, loaded, chosen  # type: ignore[return-value]
    try:
        fields = base.model_dump() if isinstance(base, OpcUa) else {"protocol": "opcua", "mode": "subscribe"}
        return OpcUa.model_validate({**fields, "endpoint": endpoint}), loaded, chosen
    except ValidationError:
        words = f"{endpoint}: 应形如 opc.tcp://192.168.1.11:4840 (expected opc.tcp://host:port)"
        raise typer.BadParameter(words, param_hint="ENDPOINT") from None


def _patient(connection: OpcUa) -> OpcUa:
    return connection.model_copy(update={"timeout_ms": max(_PATIENCE_MS, connection.timeout_ms)})


def _device(register: Path | None, device: str | None) -> tuple[Register, Device]:
    from config.connections import OpcUa
    from config.load import load_register

    if register is None or device is None:
        raise typer.BadParameter("--register 与 --device 要一起给 (both or none)", param_hint="--register/--device")
    loaded = load_register(register)
    found = loaded.device.get(device)
    if found is None:
        raise typer.BadParameter(f"{device}: 台账里没有这台设备 (no such device)", param_hint="--device")
    if not isinstance(found.connection, OpcUa):
        raise typer.BadParameter(f"{device}: 这台设备不是 OPC UA 连接 (not an OPC UA device)", param_hint="--device")
    return loaded, found


def _keys(data: Path) -> Path | None:
    return data / "keys" if (data / "keys").is_dir() else None


def _run(work: Any) -> Any:
    """Run it; a server that cannot be read is exit code 5, in words."""
    from adapters.contract import ReadError

    try:
        return asyncio.run(work)
    except ReadError as err:
        sys.stderr.write(f"✘ {err}\n")
        raise typer.Exit(5) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' and our own logging is not for this screen: the result says it."""
    from adapters.quiet import quiet_libraries

    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    quiet_libraries()
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A line that counts, on a terminal only."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    console = _console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("连接服务器", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _toml(found: Survey, proposal: Proposal, connection: OpcUa, kind: str) -> str:
    from adapters.opcua.browsing.pointlist import Heading, point_list

    fields = connection.model_dump(mode="json", exclude_defaults=True)
    ordered = {"protocol": "opcua", "endpoint": connection.endpoint, **fields}
    ordered["mode"] = "subscribe" if kind == "event" else "poll"
    words = tuple(f"未列出: {cause} {n}" for cause, n in sorted(proposal.left_out.items()))
    heading = Heading(connection.endpoint, found.server, datetime.now(UTC).date(), kind, ordered, words)
    return point_list(found.space, found.known, proposal.sheets, heading)


def _json(found: Survey, proposal: Proposal, connection: OpcUa) -> str:
    from adapters.opcua.browsing.asjson import proposal_json
    from adapters.opcua.said import json_text

    return json_text(proposal_json(found, proposal, connection.endpoint), indent=1) + "\n"


def _write(out: Path | None, text: str) -> None:
    if out is None:
        sys.stdout.write(text)
    else:
        try:
            with out.open("x", encoding="utf-8") as file:  # looked for it before the walk, minutes ago
                file.write(text)
        except OSError as err:
            sys.stderr.write(f"✘ {out}: 写不进去 (cannot be written: {err.strerror})\n")
            raise typer.Exit(5) from None


def _summary(found: Survey, proposal: Proposal, out: Path | None) -> None:
    """What was found, in a few lines a tired person can read."""
    from rich.table import Table

    from adapters.opcua.said import plain

    console = _console()
    table = Table("测点模板", "测点", "设备", "角色", box=None, pad_edge=False)
    for sheet in proposal.sheets:
        names = [d.id for d in sheet.devices]
        shown = "、".join(names[:3]) + (f" 等 {len(names)} 台" if len(names) > 3 else "")
        table.add_row(sheet.id, str(len(sheet.points)), shown or "-", "、".join(sorted(_roles(sheet))))
    space = found.space
    variables = sum(not n.is_object for n in space.nodes)
    console.print(f"{plain(found.server) or '服务器'}: {len(space.nodes)} 个节点, {variables} 个变量", markup=False)
    if proposal.sheets:
        console.print(table)
    for sheet in proposal.sheets:
        if sheet.subject.machine is not None:
            whose = "、".join(plain(d.name, 60) for d in sheet.devices[:6]) + (" …" if len(sheet.devices) > 6 else "")
            console.print(f"识别到 {sheet.subject.machine.model}: {whose}", markup=False)
    split = [s for s in proposal.sheets if len(s.devices) > 1 and s.subject.machine is None]
    for sheet in split:
        words = f"{sheet.id}: {len(sheet.devices)} 个对象测点相同, 按 {len(sheet.devices)} 台设备处理"
        console.print(words, markup=False)
        console.print("  若只是一台设备的部件, 加 --one-device 重来 (parts of one device?)", markup=False)
    for cause, n in sorted(proposal.left_out.items()):
        console.print(f"未列出: {cause} {n} 个", markup=False)
    for name, n in sorted(space.problems.items()):
        console.print(f"⚠ {n} 个节点未能浏览: {name} (not browsed)", style="yellow", markup=False)
    if space.truncated:
        words = (
            f"⚠ 到 {len(space.nodes)} 个节点为止, 没有走完: 用 --root 缩小范围或用 --most 放宽 (stopped at the limit)"
        )
        console.print(words, style="yellow", markup=False)
    if out is not None:
        console.print(f"已写入 {out}", markup=False)
        console.print("下一步: 核对后并入台账, 再运行 plantproof register check (review, paste, check)", markup=False)


def _roles(sheet: Sheet) -> set[str]:
    """The roles that a companion model filled."""
    return {p.candidate.role.role for p in sheet.points if p.candidate.role is not None}


def _show_difference(found: Difference) -> None:
    from rich.markup import escape
    from rich.table import Table

    from adapters.opcua.said import plain

    console = _console()
    for gone in found.missing:
        console.print(f"服务器上没有了: {gone.point}  {gone.node}  {gone.server}", style="red", markup=False)
    if found.changed:
        table = Table("测点", "变化", "台账", "服务器", box=None, pad_edge=False)
        for row in found.changed:
            table.add_row(escape(row.point), row.words, escape(row.register), escape(row.server), style="red")
        console.print(table)
    for extra in found.extra[:20]:
        console.print(f"台账没有: {plain(extra.path)}  {plain(extra.node)}", markup=False)
    if len(found.extra) > 20:
        console.print(f"… 共 {len(found.extra)} 个, 全部见 --json (all of them with --json)", markup=False)
    counts = f"缺失 {len(found.missing)}, 变化 {len(found.changed)}, 台账没有 {len(found.extra)}, 一致 {found.same}"
    mark = "✘" if found.is_wrong else "✔"
    console.print(f"{mark} {found.device}: {counts} (gone, changed, extra, equal)", markup=False)
    if not found.complete:
        console.print("⚠ 服务器没有走完, 台账没有的节点可能更多 (the walk is incomplete)", style="yellow", markup=False)
