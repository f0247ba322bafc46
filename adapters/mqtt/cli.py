"""`plantproof mqtt listen` and `plantproof mqtt dead-letters`: what a broker says, and what could not be understood.

In: a broker's address, or a data folder. Out: tables on stderr's console, JSON on stdout with --json. `listen` subscribes and never
publishes. Exit codes: 0 done, 2 usage, 3 nothing was heard, 5 no such data folder.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from adapters.mqtt.listen import Report
    from config.connections import Mqtt

app = typer.Typer(help="MQTT 现场工具 (field tools)", no_args_is_help=True)

_SHOWN_POINTS = 6
_SHOWN_CHARACTERS = 60
_CELL_CHARACTERS = 2000
AsJson = Annotated[bool, typer.Option("--json", help="结果以 JSON 输出到标准输出 (JSON on stdout)")]


@app.command()
def listen(
    broker: Annotated[str, typer.Argument(metavar="BROKER", help="如 mqtt://10.0.0.5:1883, mqtts://, ws://, wss://")],
    topic: Annotated[list[str] | None, typer.Option("--topic", help="主题过滤, 可用 # 和 + (topic filters)")] = None,
    seconds: Annotated[float, typer.Option(help="听多久 (how long)", min=0.1, max=3600)] = 10,
    username: Annotated[str, typer.Option(help="用户名 (user name)")] = "",
    password_env: Annotated[str, typer.Option(help="存放密码的环境变量名 (variable with the password)")] = "",
    ca_file: Annotated[str, typer.Option(help="信任的 CA 证书文件 (whom to trust)")] = "",
    certificate: Annotated[str, typer.Option(help="本机证书 (our certificate)")] = "",
    key: Annotated[str, typer.Option(help="本机私钥 (its key)")] = "",
    as_json: AsJson = False,
) -> None:
    """听一会儿代理上有哪些主题、报文长什么样、可以采哪些测点; 只订阅, 不发布 (topics, payloads, proposed points)."""
    from adapters.contract import ReadError
    from adapters.mqtt import listen as listening

    connection = _connection(
        broker=broker,
        username=username,
        password_env=password_env,
        ca_file=_absolute(ca_file),
        certificate=_absolute(certificate),
        key=_absolute(key),
    )
    try:
        report = asyncio.run(listening.listen(connection, topic or ["#"], seconds))
    except ReadError as err:
        sys.stderr.write(f"✘ {err}\n")
        raise typer.Exit(3) from None
    if as_json:
        sys.stdout.write(json.dumps(_plain(report), ensure_ascii=False, indent=1) + "\n")
    else:
        _show(report)
    raise typer.Exit(0 if report.topics else 3)


@app.command("dead-letters")
def dead_letters(
    data: Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")] = Path("plantproof-data"),
    last: Annotated[int, typer.Option(help="只看最近几条 (the newest)", min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """看不懂而没有入库的报文: 何时、哪个主题、什么原因、原文开头 (messages that could not be understood)."""
    from adapters.deadletter import read_letters

    if not (data / "state").is_dir():
        sys.stderr.write(f"✘ {data}: 不是数据目录, 用 --data 指明 (expected a data folder, found none)\n")
        raise typer.Exit(5)
    letters = sorted(read_letters(data / "state"), key=lambda letter: str(letter.get("at")))[-last:]
    if as_json:
        sys.stdout.write(json.dumps(letters, ensure_ascii=False, indent=1) + "\n")
        return
    _show_letters(letters)


def _connection(**given: str) -> Mqtt:
    from pydantic import ValidationError

    from config.connections import Mqtt

    try:
        return Mqtt.model_validate({"protocol": "mqtt", "topic": "any", **given})
    except ValidationError as err:
        first = err.errors()[0]
        raise typer.BadParameter(f"{first['loc'][0] if first['loc'] else ''}: {first['msg']}") from None


def _absolute(file: str) -> str:
    return str(Path(file).resolve()) if file else ""


def _plain(report: Report) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "mqtt": "5" if report.version == 5 else "3.1.1",
        "denied": report.denied,
        "more_topics": report.more,
        "topics": [asdict(h) for h in report.topics],
    }


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from adapters.shown import shown

    console = Console(stderr=True)
    table = Table("主题", "条数", "字节", "格式", "可采测点 (路径 类型 = 示例)")
    for heard in report.topics:
        found = heard.sketch
        lines = [f"{p.path} {p.type} = {str(p.example)[:_SHOWN_CHARACTERS]}" for p in found.points[:_SHOWN_POINTS]]
        if len(found.points) > _SHOWN_POINTS:
            lines.append(f"… 共 {len(found.points)} 个")
        if found.records_path:
            lines.insert(0, f'records_path = "{found.records_path}"')
        if found.time_path:
            unit = f', time_unit = "{found.time_unit}"' if found.time_unit else ""
            lines.insert(0, f'time_path = "{found.time_path}"{unit}')
        if found.why:
            lines.append(found.why)
        count = f"{heard.messages}{' + 保留' if heard.retained else ''}"
        told = shown("\n".join(lines), _CELL_CHARACTERS, lines=True)
        table.add_row(escape(shown(heard.topic, _CELL_CHARACTERS)), count, str(heard.size), found.form, escape(told))
    console.print(table)
    for topic, why in report.denied.items():
        console.print(escape(f"✘ {topic}: {why}"))
    if report.more:
        console.print("主题过多, 只列了一部分, 用 --topic 缩小范围 (more topics than are listed)")
    if not report.topics:
        console.print("这段时间内没有听到消息, 检查主题, 或用 --seconds 加长 (nothing was heard)")


def _show_letters(letters: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from adapters.shown import shown

    console = Console(stderr=True)
    table = Table("时间", "连接", "设备", "主题", "原因", "字节", "原文开头")
    for letter in letters:
        head = base64.b64decode(letter.get("payload", ""))[:_SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
        devices = ", ".join(letter.get("devices", []))
        cells = [letter.get("at", ""), letter.get("connection", ""), devices, letter.get("topic", "")]
        cells += [letter.get("why", ""), letter.get("size", ""), head]
        table.add_row(*(escape(shown(str(c), _CELL_CHARACTERS)) for c in cells))
    console.print(table)
    skipped = sum(int(letter.get("skipped_before", 0)) for letter in letters)
    rest = f", 另有 {skipped} 条因过多未记 (more came than were kept)" if skipped else ""
    console.print(f"{len(letters)} 条死信 ({len(letters)} dead letters){rest}")
