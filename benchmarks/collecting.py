"""Figures of the collector on live servers, each beside ThingsBoard Gateway's on the same servers in the same run.

In: a folder. Out: `Figure`s: one scenario a protocol (50 OPC UA servers x 200 nodes, 500 Modbus devices x 20 registers in four blocks,
1,000 MQTT devices x 10 values as JSON and as Sparkplug B; all each second), the three together, and ten times as many values.
The peer is installed into an environment of its own at the first run. A figure short of its aim is printed as it is.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.collect import MEASURED_S, Collected, Fleet, collect
from benchmarks.figure import Figure
from benchmarks.tbgateway import VERSION, Peer, environment, run_peer

T = TypeVar("T")
PEER_ENVIRONMENT = Path.home() / ".cache" / "plantproof-bench" / f"tbgateway-{VERSION}"
SCENARIOS = {
    "opcua": (Fleet(opcua=50), 0.08, "50 OPC UA servers (node-opcua) x 200 doubles, subscribed, 1 s"),
    "modbus": (Fleet(modbus=500), 0.12, "500 Modbus TCP devices x 20 registers in four blocks, 1 s"),
    "mqtt": (Fleet(mqtt=1000), 0.08, "1,000 MQTT devices x 10 values, JSON, QoS 1, mosquitto, 1 s"),
    "sparkplug": (
        Fleet(mqtt=1000, mqtt_kind="sparkplug"),
        0.08,
        "1,000 Sparkplug B devices x 10 metrics by alias, 1 s",
    ),
}
ALL = Fleet(opcua=50, modbus=500, mqtt=1000)
TENFOLD = Fleet(
    opcua=50,
    opcua_period_ms=100,
    opcua_sim=True,
    modbus=500,
    modbus_registers=tuple(range(200)),
    mqtt=1000,
    mqtt_period_s=0.1,
)
ALL_AIM_CORES, TENFOLD_AIM_CORES, MEMORY_AIM_MB, JITTER_AIM_MS, PEER_AIM = 0.3, 1.0, 300.0, 50.0, 0.1


def figures(place: Path) -> list[Figure]:
    """Everything; about twelve minutes."""
    return [*alone(place), *together(place)]


def alone(place: Path) -> list[Figure]:
    """Each protocol by itself, and the peer."""
    found: list[Figure] = []
    for name, (fleet, aim_cores, what) in SCENARIOS.items():
        run = _fresh(place / name, lambda at, fleet=fleet: collect(fleet, at))  # type: ignore[misc]
        aim_us = aim_cores * 1e6 / fleet.wanted_per_s
        method = f"{what}; collector process with the store writing, {MEASURED_S:.0f} s; {_said(run)}; limit is the aim"
        us = run.cpu_us_per_value
        found.append(Figure(f"collect.{name}_cpu_us_per_value", us, "µs", aim_us, us / aim_us, method))
        if name != "sparkplug":  # the peer has no Sparkplug
            found.append(_against_peer(place / f"{name}-peer", name, fleet, run))
        if run.jitter_p99_ms is not None:
            found.append(_jitter("collect.jitter_p99_ms", run, what))
    return found


def together(place: Path) -> list[Figure]:
    """The three at once, and ten times as many values."""
    run = _fresh(place / "all", lambda at: collect(ALL, at))
    more = _fresh(place / "tenfold", lambda at: collect(TENFOLD, at))
    method = f"the three scenarios at once; {_said(run)}; limit is the aim"
    tenfold = f"ten times as many values (OPC UA and MQTT ten times as often, Modbus 200 registers); {_said(more)}; limit is the aim"
    return [
        Figure("collect.all_cores", run.cores, "cores", ALL_AIM_CORES, run.cores / ALL_AIM_CORES, method),
        Figure(
            "collect.all_with_children_cores",
            (run.cpu_s + run.children_cpu_s) / run.measured_s,
            "cores",
            None,
            None,
            "the same, with the children that make segments and seals",
        ),
        Figure("collect.peak_mb", run.peak_mb, "MB", MEMORY_AIM_MB, run.peak_mb / MEMORY_AIM_MB, "the same, PSS"),
        _jitter("collect.all_jitter_p99_ms", run, "the three at once"),
        Figure(
            "collect.tenfold_cores", more.cores, "cores", TENFOLD_AIM_CORES, more.cores / TENFOLD_AIM_CORES, tenfold
        ),
        Figure(
            "collect.tenfold_peak_mb", more.peak_mb, "MB", MEMORY_AIM_MB, more.peak_mb / MEMORY_AIM_MB, "the same, PSS"
        ),
    ]


def _against_peer(place: Path, name: str, fleet: Fleet, run: Collected) -> Figure:
    python = environment(PEER_ENVIRONMENT)
    peer: Peer = _fresh(place, lambda at: run_peer(fleet, at, python))
    ratio = run.cpu_us_per_value / peer.cpu_us_per_value
    method = (
        f"our CPU per delivered value over ThingsBoard Gateway {VERSION}'s, same servers; it delivered {peer.delivered:,} of "
        f"{peer.wanted:,.0f} at {peer.cpu_us_per_value:.1f} µs each, {peer.cpu_s / peer.measured_s:.2f} core, {peer.peak_mb:.0f} MB, "
        f"servers {peer.servers_core:.2f} core; it stores nothing; limit is the aim"
    )
    return Figure(f"collect.{name}_vs_tbgateway", ratio, "ratio", PEER_AIM, ratio / PEER_AIM, method)


def _jitter(name: str, run: Collected, what: str) -> Figure:
    value = run.jitter_p99_ms or 0.0
    method = f"{what}; first request of each Modbus poll against the device's own beat, as the server saw it; limit is the aim"
    return Figure(name, value, "ms", JITTER_AIM_MS, value / JITTER_AIM_MS, method)


def _said(run: Collected) -> str:
    return (
        f"{run.delivered:,} of {run.wanted:,.0f} values delivered, {run.cores:.3f} core, {run.peak_mb:.0f} MB, "
        f"servers {run.servers_core:.2f} core"
    )


def _fresh(place: Path, run: Callable[[Path], T]) -> T:
    """Run in an empty folder; servers that cannot start are an `OSError`, so that the part is left out and said so."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        return run(place)
    except subprocess.SubprocessError as err:
        raise OSError(str(err)) from err
