"""Companion models: our tables against the nodesets that node-opcua ships, and machines instantiated from those nodesets."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import plantproof
from adapters.batch import ValueType
from adapters.contract import Site
from adapters.opcua.browsing import companion
from adapters.opcua.browsing.companion import (
    CHANNEL_STATES,
    CNC,
    CNC_MODES,
    CNC_STATES,
    ITEM_STATES,
    MACHINE_TOOL,
    MACHINERY,
    PROGRAM_STATES,
    TOOL_MODES,
    States,
)
from adapters.opcua.browsing.details import Detail
from adapters.opcua.browsing.proposal import propose
from adapters.opcua.browsing.space import Name, Node, Space
from adapters.opcua.browsing.survey import survey
from adapters.opcua.cli import _toml
from adapters.registry import build
from config.connections import OpcUa
from config.register import Register
from tests.adapters.machines import machine_server, pasted, points_of
from tests.adapters.plant import Recorder, WallClock
from tests.adapters.stacks import FOLDER

NODESETS = FOLDER / "node_modules/node-opcua-nodesets/nodesets"
FILES = {
    MACHINERY: "Opc.Ua.Machinery.NodeSet2.xml",
    MACHINE_TOOL: "Opc.Ua.MachineTool.NodeSet2.xml",
    CNC: "Opc.Ua.CNC.NodeSet.xml",
}
NS = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"
AUTOMATIC = ("AUTO", "AUTOMATIC", "TRUE", "1")  # docs/format/hour-lines.md, auto_s


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with machine_server("companion") as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def text(server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("browse") / "points.toml"
    assert plantproof.run(["opcua", "browse", server, "--out", str(out)]) == 0
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def register(text: str) -> Register:
    return pasted(text)


def nodeset(uri: str) -> ET.Element:
    if not (NODESETS / FILES[uri]).is_file():
        with machine_server("companion"):  # skips, or fails where everything is required
            raise RuntimeError(f"expected {FILES[uri]}, found none")
    return ET.parse(NODESETS / FILES[uri]).getroot()


def browse_name(uri: str, number: int) -> str:
    (found,) = [e.get("BrowseName") or "" for e in nodeset(uri) if e.get("NodeId") == f"ns=1;i={number}"]
    return found.partition(":")[2]


def enumeration(uri: str, name: str) -> dict[int, str]:
    (found,) = [e for e in nodeset(uri).iter(f"{NS}UADataType") if e.get("BrowseName") == f"1:{name}"]
    return {int(f.get("Value") or 0): f.get("Name") or "" for f in found.iter(f"{NS}Field")}


def state_number(uri: str, state: int) -> int:
    (found,) = [
        e
        for e in nodeset(uri).iter(f"{NS}UAVariable")
        if e.get("ParentNodeId") == f"ns=1;i={state}" and e.get("BrowseName") == "StateNumber"
    ]
    (value,) = [v for v in found.iter() if v.tag.endswith("}UInt32")]
    return int(value.text or 0)


@pytest.mark.parametrize("states", [ITEM_STATES, PROGRAM_STATES], ids=["machinery", "program"])
def test_state_numbers_and_ids_are_those_of_the_nodeset(states: States) -> None:
    for number, name, node, _ in states.rows:
        assert browse_name(states.uri, node) == name
        assert state_number(states.uri, node) == number


@pytest.mark.parametrize(
    ("states", "name"), [(CHANNEL_STATES, "ChannelState"), (CNC_STATES, "CncChannelStatus")], ids=["tool", "cnc"]
)
def test_channel_states_are_those_of_the_nodeset(states: States, name: str) -> None:
    assert {n: word for n, word, _, _ in states.rows} == enumeration(states.uri, name)


@pytest.mark.parametrize(
    ("uri", "name", "modes"),
    [(MACHINE_TOOL, "MachineOperationMode", TOOL_MODES), (CNC, "CncOperationMode", CNC_MODES)],
    ids=["tool", "cnc"],
)
def test_the_automatic_mode_is_that_of_the_nodeset(uri: str, name: str, modes: tuple[int, str]) -> None:
    values = enumeration(uri, name)
    assert values[modes[0]] == "Automatic"
    assert modes[1] == ", ".join(f"{n} {word}" for n, word in values.items())


@pytest.mark.parametrize(
    ("uri", "number", "name"),
    [
        (MACHINERY, companion.MACHINES_FOLDER, "Machines"),
        (MACHINERY, companion.ITEM_STATE_TYPE, "MachineryItemState_StateMachineType"),
        (MACHINERY, companion.OPERATION_COUNTER_TYPE, "MachineryOperationCounterType"),
        (MACHINERY, companion.COMPONENTS_TYPE, "MachineComponentsType"),
        (MACHINERY, companion.MACHINE_IDENTIFICATION_TYPE, "MachineIdentificationType"),
        (MACHINE_TOOL, companion.MACHINE_TOOL_TYPE, "MachineToolType"),
        (MACHINE_TOOL, companion.CHANNEL_MONITORING_TYPE, "ChannelMonitoringType"),
        (CNC, companion.CNC_INTERFACE_TYPE, "CncInterfaceType"),
        (CNC, companion.CNC_CHANNEL_TYPE, "CncChannelType"),
    ],
)
def test_type_definitions_are_those_of_the_nodeset(uri: str, number: int, name: str) -> None:
    assert browse_name(uri, number) == name


def test_two_equal_machine_tools_share_a_set_with_their_roles(register: Register) -> None:
    points = points_of(register, "MC-001")
    assert register.device["MC-001"].points == register.device["MC-002"].points
    roles = {p.role: p for p in points.values() if p.role != "process"}
    home = "nsu=urn:example:node-opcua;s={device}-"
    assert {r: p.node.removeprefix(home) for r, p in roles.items()} == {
        "state": "MachineryBuildingBlocks-MachineryItemState-CurrentState",
        "auto": "Monitoring-MachineTool-OperationMode",
        "program": "Production-ActiveProgram-Name",
        "output": "MachineryBuildingBlocks-OperationCounters-PartsProducedInLifetime",
        "alarm": "Notification-Messages",
    }
    assert (roles["alarm"].events, roles["alarm"].type) == ("conditions", "str")
    assert (points["PowerOnDuration"].unit, points["OperationMode"].type) == ("ms", "i64")


def test_identification_fills_the_device(register: Register, text: str) -> None:
    first = register.device["MC-001"]
    assert (first.name, first.maker, first.model) == ("加工中心 MC-001", "沈阳机床", "VMC850")
    assert register.device["Washer"].maker == "某某清洗"
    assert "# 出厂编号 SerialNumber: SN-2" in text


def test_states_are_mapped_by_number_where_there_is_one_and_by_name_where_not(register: Register) -> None:
    maps = {d.id: register.point_set[d.points or ""].state_map for d in register.devices}
    assert maps["MC-001"] == {"NotAvailable": "off", "OutOfService": "stop", "NotExecuting": "stop", "Executing": "run"}
    assert maps["Washer"] == {"0": "off", "1": "stop", "2": "stop", "3": "run"}
    assert maps["MC-OLD"] == {"0": "stop", "1": "run", "2": "stop", "3": "stop", "4": "stop"}
    assert maps["CncInterface"] == {"0": "run", "1": "stop", "2": "stop"}


async def test_a_state_is_known_by_the_words_of_its_server_too(server: str) -> None:
    found = await survey(OpcUa(protocol="opcua", endpoint=server, timeout_ms=20_000))
    machines = companion.machines(found.space, found.known, {(MACHINERY, 5006): "执行中"})
    tool = next(m for m in machines if found.space.nodes[m.node].name.text == "MC-001")
    assert (tool.state_map["执行中"], tool.state_map["Executing"]) == ("run", "run")
    machines = companion.machines(found.space, found.known, {(MACHINERY, 5004): "停", (MACHINERY, 5005): "停"})
    tool = next(m for m in machines if found.space.nodes[m.node].name.text == "MC-001")
    assert "停" not in tool.state_map  # out of service, or not there at all: nobody can tell
    assert any("停" in n for n in tool.notes)


async def test_one_machine_alone_is_recognised_too(server: str) -> None:
    for root, model in (("s=MC-001", MACHINE_TOOL), ("s=WASHER", MACHINERY), ("s=CNC", CNC)):
        connection = OpcUa(protocol="opcua", endpoint=server, timeout_ms=20_000)
        found = await survey(connection, root=f"nsu=urn:example:node-opcua;{root}")
        (machine,) = found.machines
        assert (machine.node, machine.model) == (0, companion.MODELS[model])
        text = _toml(found, propose(found.space, found.known, found.machines, "x"), connection, "event")
        assert len(pasted(text).devices) == 1


def test_properties_are_listed_when_asked_and_the_json_says_the_same(
    server: str, register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plantproof.run(["opcua", "browse", server, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    told = {(s["id"], p["name"], p["type"], p["node"]) for s in plain["points"] for p in s["point"]}
    assert told == {(s.id, p.name, p.type, p.node) for s in register.point_sets for p in s.points}
    assert plantproof.run(["opcua", "browse", server, "--properties", "--json"]) == 0
    paths = ["/".join(p["path"]) for s in json.loads(capsys.readouterr().out)["points"] for p in s["point"]]
    assert "Machines/MC-001/Identification/SerialNumber" in paths
    assert not any("SerialNumber" in "/".join(p["path"]) for s in plain["points"] for p in s["point"])


def test_a_cnc_takes_its_roles_from_the_first_channel_and_says_so(register: Register, text: str) -> None:
    points = points_of(register, "CncInterface")
    home = "nsu=urn:example:node-opcua;s=CNC-CncChannelList-Channel_1-"
    nodes = {n: points[n].node.removeprefix(home) for n in ("state", "auto", "main_program", "program")}
    assert nodes == {
        "state": "ActStatus",
        "auto": "ActOperationMode",
        "main_program": "ActMainProgramName",
        "program": "ActProgramName",
    }
    assert "多通道: 状态、方式、程序取第一通道 Channel_1" in text
    assert {"Channel_1.ActFeedrate", "Channel_2.ActFeedrate"} <= points.keys()


async def test_what_is_collected_says_running_and_automatic_as_the_machines_do(server: str, text: str) -> None:
    text = text.replace('mode = "subscribe"', 'mode = "subscribe", timeout_ms = 20000')
    recorder = Recorder()
    register = pasted(text)
    for adapter in build(register, Site(WallClock())):
        recorder.batches += await adapter.read_once()
    values: dict[str, dict[str, Any]] = {}
    for device in ("MC-001", "MC-002", "MC-OLD", "Washer", "CncInterface"):
        values[device] = {n: v for row in recorder.rows(device) for n, v in row["values"].items()}
    maps = {d.id: register.point_set[d.points or ""].state_map for d in register.devices}
    assert {d: maps[d].get(str(v["state"])) for d, v in values.items()} == {
        "MC-001": "run",
        "MC-002": "stop",
        "MC-OLD": "stop",
        "Washer": "off",
        "CncInterface": "run",
    }
    automatic = {d: str(v["auto"]).upper() in AUTOMATIC for d, v in values.items() if "auto" in v}
    assert automatic == {"MC-001": True, "MC-002": False, "MC-OLD": False, "CncInterface": True}
    assert values["MC-001"]["part_count"] == 4711
    assert (values["MC-001"]["program"], values["CncInterface"]["main_program"]) == ("O1234", "MAIN.MPF")


UA0 = "http://opcfoundation.org/UA/"
URIS = (UA0, companion.DI, MACHINERY, MACHINE_TOOL, CNC, "urn:x")


def made(*machines: Any) -> tuple[Space, dict[int, Detail]]:
    """A space out of (namespace, name, type, children) with the type as (namespace, number), 63 for a variable."""
    space = Space(URIS)
    space.nodes.append(Node((0, 85), Name(0, "Objects"), "", True, (0, 61), -1, 0))
    known: dict[int, Detail] = {}

    def add(parent: int, spec: Any) -> None:
        uri, name, kind, children = spec
        here = len(space.nodes)
        is_object = kind != 63
        type_key = (URIS.index(kind[0]), kind[1]) if is_object else (0, 63)
        node = Node((5, f"n{here}"), Name(URIS.index(uri), name), name, is_object, type_key, parent, 0)
        space.nodes.append(node)
        space.index[node.key] = here
        space.nodes[parent].children.append(here)
        if not is_object:
            known[here] = Detail(ValueType.I64, "Int32", readable=True, value=0)
        for child in children:
            add(here, child)

    for machine in machines:
        add(0, machine)
    return space, known


def item_state(*children: Any) -> Any:
    return (MACHINERY, "MachineryItemState", (MACHINERY, 1002), [(UA0, "CurrentState", 63, children)])


def test_a_components_state_is_not_the_machines() -> None:
    part = (companion.DI, "Spindle", (UA0, 58), [item_state((UA0, "Number", 63, []))])
    channel = ("urn:x", "Ch", (MACHINE_TOOL, 16), [(MACHINE_TOOL, "ChannelState", 63, [])])
    space, known = made(
        (
            "urn:x",
            "M",
            (MACHINE_TOOL, 13),
            [
                (MACHINERY, "Components", (MACHINERY, 1006), [part]),
                (MACHINE_TOOL, "Monitoring", (MACHINE_TOOL, 14), [channel]),
            ],
        )
    )
    (machine,) = companion.machines(space, known, {})
    (state,) = [r for r in machine.roles if r.role == "state"]
    assert space.nodes[state.node].name.text == "ChannelState"
    assert machine.state_map == {"0": "run", "1": "stop", "2": "stop"}


def test_a_cnc_inside_a_machine_tool_belongs_to_it() -> None:
    channel = (CNC, "Ch", (CNC, 1002), [(CNC, "ActStatus", 63, []), (CNC, "ActOperationMode", 63, [])])
    cnc = (CNC, "Cnc", (CNC, 1007), [(CNC, "CncChannelList", (CNC, 1010), [channel])])
    mode = (MACHINE_TOOL, "MachineTool", (MACHINE_TOOL, 26), [(MACHINE_TOOL, "OperationMode", 63, [])])
    monitoring = (MACHINE_TOOL, "Monitoring", (MACHINE_TOOL, 14), [mode])
    space, known = made(("urn:x", "M", (MACHINE_TOOL, 13), [monitoring, item_state((UA0, "Number", 63, [])), cnc]))
    (machine,) = companion.machines(space, known, {})
    roles = {r.role: space.nodes[r.node].name.text for r in machine.roles}
    assert roles == {"state": "Number", "auto": "OperationMode"}


def test_equal_names_of_another_namespace_are_not_taken() -> None:
    other = [("urn:x", "Monitoring", (UA0, 58), [("urn:x", "OperationMode", 63, [])])]
    space, known = made(("urn:x", "M", (MACHINE_TOOL, 13), other), ("urn:x", "MachineryItemState", (UA0, 58), []))
    (machine,) = companion.machines(space, known, {})
    assert machine.roles == []


def test_the_screen_says_what_was_recognised(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert plantproof.run(["opcua", "browse", server, "--out", str(tmp_path / "p.toml")]) == 0
    words = capsys.readouterr().err
    assert "识别到 OPC 40501-1 机床 (MachineTool): 加工中心 MC-001、加工中心 MC-002" in words
    assert "识别到 OPC 40502 数控系统 (CNC): CncInterface" in words
    assert "识别到 OPC 40001-1 通用机械 (Machinery): 清洗机" in words
