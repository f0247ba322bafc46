"""The collector at work on a fleet of live servers: CPU of our process only, the servers in others; what arrived beside what was wanted.

In: a `Fleet` (how many of each protocol, at which period) and a folder. Out: `Collected`: CPU seconds of the collector process (its
children apart), values delivered in the measured window as the journal holds them, memory, and the poll starts as the servers saw them.
The collector is the product's own process over a real data folder, with the store writing. Collector on one core, servers on the other;
the servers' load is given too: above half a core they would be what is measured.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from adapters.batch import Outcome
from collector.frame import Block, read_frames

ROOT = Path(__file__).parents[1]
OURS, THEIRS = "0", "1"  # cores
WARM_UP_S, MEASURED_S = 25.0, 20.0
MODBUS_PORT, OPCUA_PORT, BROKER_PORT = 21_000, 31_000, 18_830
REGISTERS = [block + i for block in (0, 100, 200, 300) for i in range(5)]
MQTT_POINTS = 10
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many servers, and how much each serves. `mqtt_kind` json or sparkplug."""

    opcua: int = 0
    opcua_nodes: int = 200
    opcua_period_ms: int = 1000
    opcua_sim: bool = False  # node-opcua; or servers of our own, for loads it cannot serve on one core
    modbus: int = 0
    modbus_registers: tuple[int, ...] = tuple(REGISTERS)
    mqtt: int = 0
    mqtt_kind: str = "json"
    mqtt_period_s: float = 1.0

    @property
    def wanted_per_s(self) -> float:
        """Values that the fleet offers in a second."""
        return (
            self.opcua * self.opcua_nodes * 1000 / self.opcua_period_ms
            + self.modbus * len(self.modbus_registers)
            + self.mqtt * MQTT_POINTS / self.mqtt_period_s
        )


@dataclass(frozen=True, slots=True)
class Collected:
    """What one run showed."""

    wanted: float
    delivered: int
    cpu_s: float  # the collector process
    children_cpu_s: float  # what it started: segments, seals
    measured_s: float
    peak_mb: float  # PSS of the collector process
    servers_core: float  # share of a core that the servers took
    jitter_p99_ms: float | None

    @property
    def cores(self) -> float:
        """Share of one core."""
        return self.cpu_s / self.measured_s

    @property
    def cpu_us_per_value(self) -> float:
        """Microseconds of the collector's CPU per delivered value."""
        return self.cpu_s * 1e6 / max(1, self.delivered)


@contextmanager
def serving(fleet: Fleet, place: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """The fleet's servers, listening; ended on leaving."""
    with ExitStack() as stack:
        servers = []
        if fleet.mqtt:
            servers.append(stack.enter_context(broker(place)))
            words = [str(BROKER_PORT), str(fleet.mqtt), fleet.mqtt_kind, str(fleet.mqtt_period_s)]
            servers.append(stack.enter_context(_server([sys.executable, "benchmarks/fleet/mqtt_fleet.py", *words])))
        if fleet.modbus:
            words = [str(MODBUS_PORT), str(fleet.modbus)]
            servers.append(stack.enter_context(_server([sys.executable, "benchmarks/fleet/modbus_fleet.py", *words])))
        if fleet.opcua:
            words = [str(n) for n in (OPCUA_PORT, fleet.opcua, fleet.opcua_nodes, fleet.opcua_period_ms)]
            program = (
                [sys.executable, "benchmarks/fleet/opcua_sim.py"]
                if fleet.opcua_sim
                else ["node", "benchmarks/fleet/opcua_fleet.js"]
            )
            servers.append(stack.enter_context(_server([*program, *words])))
        yield servers


@contextmanager
def broker(place: Path) -> Iterator[subprocess.Popen[str]]:
    """mosquitto on loopback, without its default window of 20 messages in flight."""
    place.mkdir(parents=True, exist_ok=True)
    config = place / "mosquitto.conf"
    config.write_text(
        f"listener {BROKER_PORT} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
    )
    command = ["taskset", "-c", THEIRS, "mosquitto", "-c", str(config)]
    environment = os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        _wait_for_port(BROKER_PORT)
        yield process
    finally:
        stop(process)


def collect(fleet: Fleet, place: Path) -> Collected:
    """Serve, collect, measure."""
    with serving(fleet, place) as servers:
        data = place / "data"
        _prepare(data, place, fleet)
        command = ["taskset", "-c", OURS, sys.executable, "-m", "plantproof", "collect", "--data", str(data)]
        with (place / "collector.log").open("wb") as said:
            collector = subprocess.Popen(command, stdout=said, stderr=said, cwd=ROOT)
        try:
            time.sleep(WARM_UP_S)
            start, cpu, servers_cpu = time.time(), cpu_s(collector.pid), sum(cpu_s(s.pid)[0] for s in servers)
            peak = 0.0
            while time.time() - start < MEASURED_S:
                time.sleep(1)
                peak = max(peak, pss_mb(collector.pid))
            end, after, servers_after = time.time(), cpu_s(collector.pid), sum(cpu_s(s.pid)[0] for s in servers)
        finally:
            stop(collector)
        seen = [_told(s) for s in servers if s.stdin is not None]
    jitter = next((s["jitter_ms"].get("p99") for s in seen if "jitter_ms" in s), None)
    return Collected(
        fleet.wanted_per_s * (end - start),
        delivered_between(data, int(start * 1e6), int(end * 1e6)),
        after[0] - cpu[0],
        after[1] - cpu[1],
        end - start,
        peak,
        (servers_after - servers_cpu) / (end - start),
        jitter,
    )


def delivered_between(data: Path, start_us: int, end_us: int) -> int:
    """Values with an outcome of contact, received in [start, end), as the segments and, behind them, the journal on disk hold them."""
    found, segmented = 0, 0
    for path in (data / "segments").rglob("*.parquet"):
        rows = pl.scan_parquet(path)
        values = [n for n in rows.collect_schema().names() if n.startswith("p.") and n != "p.point"]
        received_at = pl.col("source_us") + pl.col("lag_us")
        inside_it = received_at.is_between(start_us, end_us, closed="left") & (pl.col("outcome") == int(Outcome.OK))
        found += int(sum(rows.filter(inside_it).select(pl.col(values).count()).collect().row(0)))
        segmented = max(segmented, int(rows.select(pl.col("frame").max()).collect().item()))
    for path in sorted((data / "journal").glob("*.jrn")):
        frames = (
            f for f in read_frames(path.read_bytes()) if f.seq > segmented
        )  # a file stays until its hour is sealed
        found += sum(_delivered(block, start_us, end_us) for frame in frames for block in frame.blocks)
    return found


def _delivered(block: Block, start_us: int, end_us: int) -> int:
    received = block.source_us + block.lag_us
    inside = (received >= start_us) & (received < end_us) & (block.outcome == Outcome.OK)
    first = 1 if block.template.kind == "event" else 0  # an event's first column says which point
    return sum(int((inside if c.valid is None else inside & c.valid).sum()) for c in block.columns[first:])


def _prepare(data: Path, place: Path, fleet: Fleet) -> None:
    """A data folder with the fleet's register applied."""
    from collector.clock import SystemClock  # noqa: PLC0415  # the product's own functions, as its commands call them
    from collector.folder import create_folder  # noqa: PLC0415
    from collector.revisions import apply_register  # noqa: PLC0415
    from config.settings import DEMO_PLANT  # noqa: PLC0415

    folder = create_folder(data, DEMO_PLANT, "simulated", SystemClock())
    toml = place / "register.toml"
    toml.write_text(_toml(register_of(fleet)), encoding="utf-8")
    apply_register(folder, toml, "benchmark", SystemClock(), "benchmark")


def register_of(fleet: Fleet) -> dict[str, Any]:
    """The register that describes the fleet."""
    devices: list[dict[str, Any]] = []
    sets: list[dict[str, Any]] = []

    def add(name: str, points: str, connection: dict[str, Any]) -> None:
        devices.append(
            {
                "id": name,
                "name": name,
                "line": "L",
                "points": points,
                "interval_s": 1 if points != "opcua" else 10,
                "in_service_from": "2020-01-01",
                "connection": connection,
            }
        )

    if fleet.opcua:
        nodes = [{"name": f"p{i}", "type": "f64", "node": f"ns=1;s=Machine.p{i}"} for i in range(fleet.opcua_nodes)]
        sets.append({"id": "opcua", "kind": "event", "point": nodes})
        for i in range(fleet.opcua):
            endpoint = f"opc.tcp://127.0.0.1:{OPCUA_PORT + i}"
            add(
                f"o{i}",
                "opcua",
                {"protocol": "opcua", "endpoint": endpoint, "mode": "subscribe", "sampling_ms": fleet.opcua_period_ms},
            )
    if fleet.modbus:
        at = [
            {"name": f"r{a}", "type": "u64", "table": "holding_register", "address": a, "wire": "u16"}
            for a in fleet.modbus_registers
        ]
        sets.append({"id": "modbus", "kind": "wide", "point": at})
        for i in range(fleet.modbus):
            add(f"m{i}", "modbus", {"protocol": "modbus", "host": "127.0.0.1", "port": MODBUS_PORT + i})
    if fleet.mqtt:
        add_mqtt(fleet, sets, add)
    return {
        "format": "plantproof-register/1",
        "line": [{"id": "L", "name": "L"}],
        "points": sets,
        "device": devices,
    }


def add_mqtt(fleet: Fleet, sets: list[dict[str, Any]], add: Any) -> None:
    """MQTT or Sparkplug devices behind the one broker."""
    url = f"mqtt://127.0.0.1:{BROKER_PORT}"
    if fleet.mqtt_kind == "json":
        points = [{"name": f"p{i}", "type": "f64", "path": f"$.p{i}"} for i in range(MQTT_POINTS)]
        sets.append({"id": "mqtt", "kind": "wide", "point": points})
        for i in range(fleet.mqtt):
            topic = {"topic": f"fleet/d{i}/data", "time_path": "$.ts"}
            add(f"q{i}", "mqtt", {"protocol": "mqtt", "broker": url, **topic})
        return
    sets.append(
        {
            "id": "mqtt",
            "kind": "event",
            "point": [{"name": f"p{i}", "type": "f64", "metric": f"p{i}"} for i in range(MQTT_POINTS)],
        }
    )
    for i in range(fleet.mqtt):
        add(
            f"q{i}",
            "mqtt",
            {"protocol": "sparkplug", "broker": url, "group": "G", "edge_node": "fleet", "device": f"d{i}"},
        )


def _toml(register: dict[str, Any]) -> str:
    """The register as a TOML text: JSON's strings, numbers and inline tables are TOML's once keys are set with `=`."""
    lines = [f"format = {json.dumps(register['format'])}"]
    for line in register["line"]:
        lines += ["[[line]]", *(f"{k} = {json.dumps(v)}" for k, v in line.items())]
    for points in register["points"]:
        lines += ["[[points]]", f'id = "{points["id"]}"', f'kind = "{points["kind"]}"']
        for point in points["point"]:
            lines += ["[[points.point]]", *(f"{k} = {json.dumps(v)}" for k, v in point.items())]
    for device in register["device"]:
        lines.append("[[device]]")
        for key, value in device.items():
            if key == "in_service_from":
                lines.append(f"{key} = {value}")
            elif isinstance(value, dict):
                lines.append(f"{key} = {{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }")
            else:
                lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


@contextmanager
def _server(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["taskset", "-c", THEIRS, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        while not (process.stdout.readline() if process.stdout else "").startswith("{"):
            if process.poll() is not None:
                raise OSError(f"{command[1]}: expected a fleet that listens, found exit {process.returncode}")
        yield process
    finally:
        stop(process)


def _told(server: subprocess.Popen[str]) -> dict[str, Any]:
    """End a server by its stdin and read its last line."""
    with suppress(OSError, ValueError, subprocess.TimeoutExpired):
        words, _ = server.communicate("", timeout=20)
        return dict(json.loads(words.strip().splitlines()[-1])) if words.strip() else {}
    return {}


def stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
    if process.poll() is None:
        process.kill()
        process.wait()


def cpu_s(pid: int) -> tuple[float, float]:
    """(own, of ended children) CPU seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S, (int(fields[13]) + int(fields[14])) * _TICK_S


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    return 0.0


def _wait_for_port(port: int) -> None:
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise OSError(f"127.0.0.1:{port}: expected a listener, found none")


if __name__ == "__main__":  # one scenario by hand: python -m benchmarks.collect '{"modbus": 500}'
    import tempfile

    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        run = collect(Fleet(**json.loads(sys.argv[1])), Path(folder))
    print(f"{run.cores:.3f} core, {run.delivered}/{run.wanted:.0f}, {run.cpu_us_per_value:.2f} us/value, {run}")
