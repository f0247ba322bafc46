"""The peer: ThingsBoard Gateway (PyPI, its own environment) on the same servers, its values counted where they leave it.

In: a `Fleet`, a folder, the environment's Python. Out: `Peer`: CPU of its process tree, values it delivered upstream, memory. Its upstream
is a mosquitto on loopback; it sends nothing until somebody answers its question for session limits, so we answer "no limits".
Its own choices are kept: one Modbus request per tag, one connector per OPC UA server; rate limits, statistics, remote shell off, logs at
WARNING, its queues large. What it cannot deliver it does not deliver: the table shows delivered beside wanted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.collect import (
    BROKER_PORT,
    MEASURED_S,
    MODBUS_PORT,
    MQTT_POINTS,
    OPCUA_PORT,
    OURS,
    Fleet,
    broker,
    cpu_s,
    pss_mb,
    serving,
    stop,
)

VERSION = "3.8.5"
NEEDS = ("pymodbus==3.9.2", "asyncua==1.1.5", "pyserial", "pyserial-asyncio", "paho-mqtt")
_NO_LIMITS = json.dumps({"maxPayloadSize": 65_536, "maxInflightMessages": 0, "rateLimits": {}, "gatewayRateLimits": {}})


@dataclass(frozen=True, slots=True)
class Peer:
    """What one run of the peer showed."""

    wanted: float
    delivered: int
    cpu_s: float
    measured_s: float
    peak_mb: float
    servers_core: float

    @property
    def cpu_us_per_value(self) -> float:
        """Microseconds of its CPU per value it delivered."""
        return self.cpu_s * 1e6 / max(1, self.delivered)


def environment(place: Path) -> Path:
    """Install the peer; its Python. Errors: `subprocess.CalledProcessError`, `OSError`."""
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", f"thingsboard-gateway=={VERSION}", *NEEDS]
        subprocess.run(install, check=True)
    return python


def run_peer(fleet: Fleet, place: Path, python: Path, warm_up_s: float = 40.0) -> Peer:
    """Serve, let it collect, count. With no MQTT in the fleet the broker is its upstream only."""
    place.mkdir(parents=True, exist_ok=True)
    with serving(fleet, place) as servers, _upstream(fleet, place), _counting() as count:
        config = write_config(fleet, place / "config")
        work = place / "work"
        work.mkdir()
        command = ["taskset", "-c", OURS, "env", f"TB_GW_CONFIG_DIR={config}", str(python), "-c"]
        start_it = "from thingsboard_gateway.tb_gateway import daemon; daemon()"
        with (place / "gateway.log").open("wb") as said:
            gateway = subprocess.Popen([*command, start_it], cwd=work, stdout=said, stderr=said)
        try:
            time.sleep(warm_up_s)
            begun, cpu = time.time(), sum(cpu_s(gateway.pid))
            values, theirs = count[0], sum(cpu_s(s.pid)[0] for s in servers)
            peak = 0.0
            while time.time() - begun < MEASURED_S:
                time.sleep(1)
                peak = max(peak, pss_mb(gateway.pid))
            took = time.time() - begun
            return Peer(
                fleet.wanted_per_s * took,
                count[0] - values,
                sum(cpu_s(gateway.pid)) - cpu,
                took,
                peak,
                (sum(cpu_s(s.pid)[0] for s in servers) - theirs) / took,
            )
        finally:
            gateway.terminate()
            time.sleep(1)
            stop(gateway)


def write_config(fleet: Fleet, folder: Path) -> Path:
    """Its files for the fleet."""
    folder.mkdir(parents=True)
    connectors: list[dict[str, str]] = []

    def connector(kind: str, name: str, body: dict[str, Any]) -> None:
        (folder / f"{name}.json").write_text(json.dumps(body))
        connectors.append({"name": name, "type": kind, "configuration": f"{name}.json", "logLevel": "WARNING"})

    if fleet.modbus:
        connector("modbus", "modbus", {"master": {"slaves": [_slave(i, fleet) for i in range(fleet.modbus)]}})
    for i in range(fleet.opcua):
        connector("opcua", f"opcua{i}", _opcua(i, fleet))
    if fleet.mqtt:
        connector("mqtt", "mqtt", _mqtt())
    off = "0:0,"
    limits = ("rateLimits", "dpRateLimits", "messagesRateLimits", "deviceMessagesRateLimits", "deviceRateLimits")
    thingsboard = {
        "host": "127.0.0.1",
        "port": BROKER_PORT,
        "remoteShell": False,
        "remoteConfiguration": False,
        "statistics": {"enable": False, "statsSendPeriodInSeconds": 3600},
        "maxPayloadSizeBytes": 65_536,
        "minPackSendDelayMS": 50,
        "minPackSizeToSend": 500,
        "checkConnectorsConfigurationInSeconds": 3600,
        "security": {"type": "accessToken", "accessToken": "benchmark"},
        "qos": 0,
        "reportStrategy": {"type": "ON_RECEIVED"},
        "checkingDeviceActivity": {"checkDeviceInactivity": False},
        "deviceDpRateLimits": off,
        **dict.fromkeys(limits, off),
    }
    storage = {"type": "memory", "read_records_count": 1000, "max_records_count": 1_000_000}
    whole = {"thingsboard": thingsboard, "storage": storage, "grpc": {"enabled": False}, "connectors": connectors}
    (folder / "tb_gateway.json").write_text(json.dumps(whole))
    (folder / "logs.json").write_text(json.dumps(_QUIET))
    return folder


_QUIET = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler", "level": "WARNING"}},
    "root": {"level": "WARNING", "handlers": ["console"]},
    "loggers": {
        name: {"level": "WARNING", "handlers": ["console"], "propagate": False}
        for name in ("database", "service", "connector", "converter", "tb_connection", "storage", "extension")
    },
}


def _slave(i: int, fleet: Fleet) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": MODBUS_PORT + i,
        "type": "tcp",
        "method": "socket",
        "unitId": 1,
        "deviceName": f"m{i}",
        "deviceType": "default",
        "timeout": 5,
        "byteOrder": "BIG",
        "wordOrder": "BIG",
        "retries": 1,
        "pollPeriod": 1000,
        "connectAttemptTimeMs": 5000,
        "connectAttemptCount": 5,
        "waitAfterFailedAttemptsMs": 5000,
        "attributes": [],
        "timeseries": [
            {"tag": f"r{a}", "type": "16uint", "functionCode": 3, "objectsCount": 1, "address": a}
            for a in fleet.modbus_registers
        ],
    }


def _opcua(i: int, fleet: Fleet) -> dict[str, Any]:
    nodes = [
        {"key": f"p{k}", "type": "identifier", "value": f"${{ns=1;s=Machine.p{k}}}"} for k in range(fleet.opcua_nodes)
    ]
    return {
        "server": {
            "url": f"opc.tcp://127.0.0.1:{OPCUA_PORT + i}",
            "timeoutInMillis": 5000,
            "scanPeriodInMillis": 3_600_000,
            "pollPeriodInMillis": fleet.opcua_period_ms,
            "enableSubscriptions": True,
            "subCheckPeriodInMillis": fleet.opcua_period_ms,
            "security": "None",
            "identity": {"type": "anonymous"},
        },
        "mapping": [
            {
                "deviceNodeSource": "path",
                "deviceNodePattern": "Root\\.Objects\\.Machine",
                "deviceInfo": {
                    "deviceNameExpression": f"o{i}",
                    "deviceNameExpressionSource": "constant",
                    "deviceProfileExpression": "default",
                    "deviceProfileExpressionSource": "constant",
                },
                "attributes": [],
                "timeseries": nodes,
                "rpc_methods": [],
                "attributes_updates": [],
            }
        ],
    }


def _mqtt() -> dict[str, Any]:
    return {
        "broker": {
            "host": "127.0.0.1",
            "port": BROKER_PORT,
            "clientId": "peer",
            "version": 5,
            "maxMessageNumberPerWorker": 10,
            "maxNumberOfWorkers": 100,
            "security": {"type": "anonymous"},
        },
        "mapping": [
            {
                "topicFilter": "fleet/+/data",
                "subscriptionQos": 1,
                "converter": {
                    "type": "json",
                    "deviceInfo": {
                        "deviceNameExpressionSource": "topic",
                        "deviceNameExpression": "(?<=fleet/)(.*?)(?=/data)",
                        "deviceProfileExpressionSource": "constant",
                        "deviceProfileExpression": "default",
                    },
                    "timeout": 60_000,
                    "attributes": [],
                    "timeseries": [
                        {"type": "double", "key": f"p{k}", "value": f"${{p{k}}}"} for k in range(MQTT_POINTS)
                    ],
                },
            }
        ],
        "requestsMapping": {},
    }


@contextmanager
def _upstream(fleet: Fleet, place: Path) -> Iterator[None]:
    """A broker of its own when the fleet brings none."""
    if fleet.mqtt:
        yield
        return
    with broker(place):
        yield


@contextmanager
def _counting() -> Iterator[list[int]]:
    """Counts values on its telemetry topics, and answers its question for limits."""
    count = [0]
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="counter")

    def heard(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if message.topic.startswith("v1/devices/me/rpc/request/"):
            number = message.topic.rsplit("/", 1)[1]
            client.publish(f"v1/devices/me/rpc/response/{number}", _NO_LIMITS, 1)
        elif message.topic == "v1/gateway/telemetry":
            count[0] += sum(len(e.get("values", e)) for d in orjson.loads(message.payload).values() for e in d)

    client.on_message = heard
    client.connect("127.0.0.1", BROKER_PORT)
    client.subscribe([("v1/gateway/telemetry", 0), ("v1/devices/me/rpc/request/+", 1)])
    client.loop_start()
    try:
        yield count
    finally:
        client.loop_stop()
        client.disconnect()
