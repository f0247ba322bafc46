"""`plantproof pack build | rebuild | list` and `plantproof verify`: the command line of packs.

In: a data folder or a pack. Out: talk on stderr, the answer (or `--json`) on stdout. Mounted by plantproof.py.
Exit codes: verify 0, 6, 7, 8 (docs/adr/0004, evidence_api/verify/findings.py), 2 usage, 5 unreadable path;
pack 0, 2 usage, 3 nothing to build from yet, 4 rules or records invalid, 5 environment, 6 the folder's evidence was changed.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from collector.folder import DataFolder
    from evidence_api.pack.writer import BuiltPack

app = typer.Typer(help="证据包与核验 (packs and verification)")
pack = typer.Typer(help="证据包：导出、重建、清单 (evidence packs)", no_args_is_help=True)
app.add_typer(pack, name="pack")
TALK = Console(stderr=True, highlight=False)
USAGE, ENVIRONMENT, CHANGED = 2, 5, 6

Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
AsJson = Annotated[bool, typer.Option("--json", help="以 JSON 输出 (JSON on stdout)")]


@pack.command("build")
def build(
    level: Annotated[
        str, typer.Option("--level", help="申报梯次，如 scene basic advanced excellent workshop (level)")
    ] = "basic",
    rules: Annotated[
        str, typer.Option("--rules", help="办法编号，如 CN-GS/GS25、CN-TJ/TJ、CN-SD/SD25，或自有文件 (instrument)")
    ] = "GS25",
    at: Annotated[str, typer.Option("--at", help="截止时刻，默认最新封存小时之末 (ISO 8601)")] = "",
    actor: Annotated[str, typer.Option("--actor", help="谁导出，记入账本 (who)")] = "",
    as_json: AsJson = False,
    data: Data = Path("plantproof-data"),
) -> None:
    """导出证据包：先登记，再建包 (record the intent, then build)."""
    from collector.clock import SystemClock
    from evidence_api.pack.build import build_pack

    with _refusals():
        folder = _folder(data)
        at_ms = _moment_ms(at, folder) if at else None
        built = build_pack(
            folder,
            instrument=rules,
            level=level,
            at_ms=at_ms,
            clock=SystemClock(),
            actor=actor or _user(),
            say=lambda text: TALK.print(f"… {text}"),
        )
        _tell(built, as_json=as_json)


@pack.command("rebuild")
def rebuild(
    file: Annotated[Path, typer.Argument(metavar="PACK", help="已有的证据包 (a pack built here)")],
    out: Annotated[Path | None, typer.Option("--out", help="重建到此文件，默认同名加 .rebuilt (where to)")] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="自有规则文件，按它建的包才要 (rules of your own)")
    ] = None,
    as_json: AsJson = False,
    data: Data = Path("plantproof-data"),
) -> None:
    """在同一账本位置重建并逐字节比较；不追加任何条目 (build again at the same N and compare)."""
    from evidence_api.pack.build import rebuild_pack

    with _refusals():
        target = out or file.with_name(file.name + ".rebuilt")
        if target.exists():
            TALK.print(f"{target}: 已存在，不覆盖 (exists)\n    → 移走它，或用 --out 指定别处", markup=False)
            raise typer.Exit(USAGE)
        built = rebuild_pack(_folder(data), file, target, rules)
        same = _equal(file, target)
        if as_json:
            _write({"same": same, "path": str(target), "pack_id": built.pack_id})
        else:
            Console(highlight=False).print(
                f"{'逐字节相同 (equal)' if same else '不相同 (different)'}: {target}", markup=False, soft_wrap=True
            )
        if same and out is None:
            target.unlink()
        if not same:
            raise typer.Exit(CHANGED)


@pack.command("list")
def list_packs(as_json: AsJson = False, data: Data = Path("plantproof-data")) -> None:
    """账本里每一次导出，建成与否 (every export the ledger knows)."""
    from collector.ledger import log

    with _refusals():
        folder = _folder(data)
        entries = log.read_entries(folder.ledger)
        done = {e.body["pack_id"]: e.body for e in entries if e.t == "pack"}
        found: list[dict[str, Any]] = []
        for intent in (e for e in entries if e.t == "pack_intent"):
            pack_id = intent.body["pack_id"]
            files = sorted(p.name for p in folder.packs.glob(f"*-{pack_id[:8]}*.zip"))
            found.append(
                {
                    "number": len(found) + 1,
                    "pack_id": pack_id,
                    "profile": intent.body["profile"],
                    "asked_ms": intent.at_ms,
                    "actor": intent.actor,
                    "built": pack_id in done,
                    "size_bytes": done.get(pack_id, {}).get("size_bytes", 0),
                    "file": files[0] if files else "",
                }
            )
        if as_json:
            _write(found)
            return
        console = Console(highlight=False)
        for f in found:
            state = f["file"] or ("文件已不在 (file gone)" if f["built"] else "未建成 (not finished)")
            console.print(
                f"{f['number']:>3}  {f['pack_id']}  {f['profile']}  {f['actor']}  {state}", markup=False, soft_wrap=True
            )
        if not found:
            console.print("还没有导出过证据包 (no pack yet)")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="PACK", help="证据包 (the zip)")],
    key: Annotated[str, typer.Option("--key", help="您所认识的公钥，或含它的文件 (the key you expect)")] = "",
    as_json: AsJson = False,
) -> None:
    """离线核验证据包，逐步写明查了什么、不能证明什么 (offline; every step is named)."""
    from config.errors import ConfigError
    from evidence_api.pack.rules import known_rules
    from evidence_api.verify.signature import read_key
    from evidence_api.verify.verifier import verify_file
    from evidence_api.verify.words import report_lines

    try:
        expected = read_key(key) if key else None
    except ValueError as err:
        TALK.print(str(err), markup=False)
        raise typer.Exit(USAGE) from err
    try:
        findings = verify_file(file, expected, known_rules())
    except (OSError, ConfigError) as err:
        TALK.print(f"{file}: 打不开 (cannot be read): {err}", markup=False)
        raise typer.Exit(ENVIRONMENT) from err
    if as_json:
        _write(findings.to_json())
    else:
        console = Console(highlight=False)
        for line in report_lines(findings, file.name):
            console.print(line, markup=False, soft_wrap=True)
    raise typer.Exit(findings.exit_code)


@contextmanager
def _refusals() -> Iterator[None]:
    """What cannot be done ends the command with its words and its exit code."""
    from collector.folder import FolderError
    from collector.ledger.entry import LedgerError
    from config.errors import ConfigError
    from evidence_api.pack.inputs import PackError

    try:
        yield
    except (PackError, FolderError) as err:
        TALK.print(str(err), markup=False)
        raise typer.Exit(err.exit_code) from err
    except ConfigError as err:
        TALK.print(str(err), markup=False)
        raise typer.Exit(4) from err
    except LedgerError as err:
        TALK.print(f"账本不可用 (ledger not usable): {err}", markup=False)
        raise typer.Exit(CHANGED) from err
    except OSError as err:
        TALK.print(f"{err.filename or '磁盘'}: {err.strerror or err}", markup=False)
        raise typer.Exit(ENVIRONMENT) from err


def _user() -> str:
    """Who is at the keyboard, as the system knows him; a container may know nobody."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _folder(data: Path) -> DataFolder:
    from collector.folder import open_folder

    return open_folder(data)


def _moment_ms(text: str, folder: DataFolder) -> int:
    from collector.revisions import registers

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        TALK.print(f"--at: 应为时刻如 2026-11-22T00:00 (expected ISO 8601), found {text!r}", markup=False)
        raise typer.Exit(USAGE) from None
    if at.tzinfo is None:
        revisions = registers(folder)
        at = at.replace(tzinfo=revisions[-1].register.calendar.tz) if revisions else at.astimezone()
    return int(at.timestamp()) * 1000


def _tell(built: BuiltPack, *, as_json: bool) -> None:
    if as_json:
        _write(
            {
                "path": str(built.path),
                "pack_id": built.pack_id,
                "check_code": built.check_code,
                "manifest_sha256": built.manifest_sha256,
                "size_bytes": built.size_bytes,
                "mark": built.mark,
                "public_key": built.public_key,
            }
        )
        return
    console = Console(highlight=False)
    if built.mark:
        console.print(f"★ {built.mark} ★", markup=False)
    console.print(f"证据包  {built.path}  {built.size_bytes:,} 字节", markup=False, soft_wrap=True)
    console.print(f"校验码  {built.check_code}", markup=False)
    console.print(f"核验    plantproof verify {built.path} --key {built.public_key}", markup=False, soft_wrap=True)


def _equal(a: Path, b: Path) -> bool:
    from evidence_api.pack.archive import sha256_of

    return a.stat().st_size == b.stat().st_size and sha256_of(a) == sha256_of(b)


def _write(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
