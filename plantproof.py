"""The front door: mounts each package's commands into one `plantproof`, gives errors their exit codes, wires the demo.

Exit codes: 0 good · 1 internal · 2 usage · 3 ran and found problems · 4 configuration or import invalid · 5 environment · 6 changed or
malformed · 7 cannot tell · 8 genuine, but simulated or replayed · 130 interrupted.
Nothing heavy is imported before the command that needs it is known: the web process must stay small.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import adapters.modbus.cli
import adapters.mqtt.cli
import adapters.opcua.cli
import collector.cli
import collector.documents_cli
import collector.ledger_cli
import collector.records_cli
import collector.register_cli
import collector.trial_cli
import evidence_api.cli
import evidence_api.forms_cli
import evidence_api.web.cli
import metrics.cli
import metrics.deadlines_cli
import metrics.findings_cli
import simulators.cli

if TYPE_CHECKING:
    from collector.clock import DrivenClock
    from collector.folder import DataFolder
    from simulators.story import Event, Story
    from simulators.workshop import Ports

app = typer.Typer(
    help="PlantProof 工厂实证：采集、计算、评判、出证，离线可核验。",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for mounted in (
    collector.cli.root,
    metrics.cli.app,
    metrics.deadlines_cli.app,
    metrics.findings_cli.app,
    evidence_api.web.cli.app,
    collector.trial_cli.app,
    simulators.cli.app,
):
    app.add_typer(mounted)
app.add_typer(collector.register_cli.app, name="register")
collector.records_cli.app.add_typer(collector.cli.exclusion_app, name="exclusion")
app.add_typer(collector.records_cli.app, name="records")
app.add_typer(collector.documents_cli.app, name="document")
app.add_typer(collector.cli.store_app, name="store")
app.add_typer(collector.ledger_cli.app, name="ledger")
app.add_typer(adapters.modbus.cli.app, name="modbus")
app.add_typer(adapters.mqtt.cli.app, name="mqtt")
app.add_typer(adapters.opcua.cli.app, name="opcua")
app.add_typer(evidence_api.cli.pack, name="pack")
app.add_typer(evidence_api.forms_cli.app, name="form")
app.command("verify")(evidence_api.cli.verify)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="做完一遍即退出 (do it once, then exit)")] = False,
    data: Annotated[Path, typer.Option("--data", help="演示数据目录，每次重新生成 (made anew each time)")] = Path(
        "plantproof-demo"
    ),
    port: Annotated[int, typer.Option(help="页面端口，0 为任选 (web port, 0 picks one)")] = 8420,
) -> None:
    """演示：24 台模拟设备、95 天历史、页面和证据包，一条命令 (the whole path over a simulated workshop)."""
    from simulators.demo import run_demo

    raise typer.Exit(run_demo(data, port, once=once))


@app.command("demo-history", hidden=True)
def demo_history(data: Path, today: str, end_hour: int, ports: str) -> None:
    """Fill the demo's history; a child of `demo`, so that its memory is given back."""
    import asyncio
    import json
    from datetime import date

    from simulators.story import Story
    from simulators.workshop import Ports

    asyncio.run(_fill(data, Story(date.fromisoformat(today)), end_hour, Ports(**json.loads(ports))))


def main() -> None:
    """The console script."""
    from collector.supervise import end_with_parent

    end_with_parent()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    try:
        code = app(arguments, prog_name="plantproof", standalone_mode=False)
    except KeyboardInterrupt:
        return 130
    except Exception as err:  # the one place where every error gets words and a code
        return _explain(err)
    return code if isinstance(code, int) else 0


def _explain(err: Exception) -> int:
    usage = typer.BadParameter.__mro__[1:3]  # typer's UsageError and ClickException have no public names
    if isinstance(err, typer.Exit):
        return err.exit_code
    if isinstance(err, typer.Abort):
        return 130
    if isinstance(err, usage):
        err.show()  # type: ignore[attr-defined]
        return 2
    if isinstance(err, BrokenPipeError):  # piped into head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    code = _code_of(err)
    if code is not None:
        sys.stderr.write(f"✘ {_words(err)}\n")
        return code
    return _crash(err)


def _words(err: Exception) -> str:
    if isinstance(err, OSError) and err.filename:
        return f"{err.filename}: {err.strerror}"
    return str(err)


def _code_of(err: Exception) -> int | None:
    """The exit code of an error of ours; None for what nobody expected."""
    from collector.folder import FolderError
    from collector.ledger.entry import LedgerError
    from config.errors import ConfigError

    if isinstance(err, ConfigError):
        return 4
    if isinstance(err, FolderError):
        return err.exit_code
    if isinstance(err, LedgerError):
        return 6
    names = {t.__name__ for t in type(err).__mro__}
    if names & {"JournalError", "CaptureError", "StoreError"} or isinstance(err, OSError):
        return 5
    return 4 if "RunError" in names else None


def _crash(err: Exception) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="plantproof-crash-", suffix=".txt", delete=False) as file:
        traceback.print_exception(err, file=file)
    sys.stderr.write(f"✘ 内部错误 (internal error): {err}\n    → 报告 (report): {file.name}\n")
    if os.environ.get("PLANTPROOF_DEBUG"):
        traceback.print_exception(err)
    return 1


async def _fill(data: Path, story: Story, end_hour: int, ports: Ports) -> None:
    """95 days by a driven clock: what people handed in when they did, and one frame of every machine's polls an hour."""
    import asyncio

    from rich.console import Console
    from rich.progress import track

    from collector.capture import DRIVEN, Capture
    from collector.clock import DrivenClock
    from collector.folder import create_folder
    from collector.maintain import maintain
    from config.settings import DEMO_PLANT
    from simulators.history import hours
    from simulators.story import HOUR_US
    from simulators.truth import write_truth

    clock = DrivenClock(story.first_hour * HOUR_US)
    folder = create_folder(data, DEMO_PLANT, "simulated", clock)
    todo = sorted(story.events(), key=lambda e: e.at_us)
    capture = Capture(folder, clock, DRIVEN)
    todo = _enter(folder, story, ports, todo, clock, story.first_hour * HOUR_US)
    await capture.start("demo history")
    total = end_hour - story.first_hour
    talk = Console(stderr=True)
    days = track(hours(story, story.first_hour, end_hour), "生成历史", total, transient=True, console=talk)
    for hour, batches in days:
        todo = _enter(folder, story, ports, todo, clock, (hour + 1) * HOUR_US - 1)
        clock.advance_to((hour + 1) * HOUR_US - 1)
        await asyncio.gather(*(capture.emit(b) for b in batches))
        if (hour - story.first_hour) % 168 == 167:
            maintain(folder)
    _enter(folder, story, ports, todo, clock, end_hour * HOUR_US)
    await capture.stop("history complete")
    write_truth(story, story.first_hour, end_hour, data / "truth.jsonl")


def _enter(
    folder: DataFolder, story: Story, ports: Ports, todo: list[Event], clock: DrivenClock, until_us: int
) -> list[Event]:
    """Apply what people of the story enter until then: register revisions, exclusions, documents, deliveries; the rest."""
    import tempfile

    from collector.maintain import maintain

    due = [e for e in todo if e.at_us <= until_us]
    if due:
        maintain(folder)  # hours before the entry are sealed before it, as they would have been
    for event in due:
        clock.advance_to(event.at_us)
        with tempfile.TemporaryDirectory() as name:
            _hand_in(folder, story, ports, event, clock, Path(name))
    return [e for e in todo if e.at_us > until_us]


def _hand_in(folder: DataFolder, story: Story, ports: Ports, event: Event, clock: DrivenClock, place: Path) -> None:
    """One event: the story's texts as files in `place`, through the function a person's command would call."""
    from collector.documents import Statement, add_document
    from collector.intake.imports import import_records
    from collector.revisions import add_exclusion, apply_register
    from simulators.deliveries import delivery
    from simulators.papers import papers
    from simulators.workshop import register_toml

    if event.kind == "register":
        (place / "register.toml").write_text(register_toml(story, event.revision, ports), encoding="utf-8")
        apply_register(folder, place / "register.toml", event.reason, clock, event.actor)
    elif event.kind == "exclusion":
        add_exclusion(
            folder,
            event.devices,
            event.from_us,
            event.to_us,
            reason=event.reason,
            approver=event.actor,
            clock=clock,
            actor=event.actor,
        )
    elif event.kind == "documents":
        for p in papers(story, story.day_of(event.at_us)):
            (place / f"{p.id}.txt").write_bytes(p.raw)
            said_of = (p.kind, p.name, p.issuer, p.issued, p.valid_until, p.level, p.years, p.criteria, p.id)
            add_document(folder, place / f"{p.id}.txt", Statement(*said_of), clock=clock, actor=event.actor)
    else:
        for file, text in delivery(story, event).items():
            (place / file).write_text(text, encoding="utf-8")
        import_records(folder, place, event.reason, clock, event.actor)


if __name__ == "__main__":
    main()
