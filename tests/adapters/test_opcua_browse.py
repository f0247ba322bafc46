"""Browsing a server into a point list, and comparing it with the register: limits, names, templates, differences."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from hypothesis import given, settings
from hypothesis import strategies as st

import plantproof
from adapters.batch import BAD_DECODING, ValueType
from adapters.contract import ReadError, Site
from adapters.opcua.browsing import browse as browsing
from adapters.opcua.browsing.browse import Browser
from adapters.opcua.browsing.companion import Machine, RolePoint
from adapters.opcua.browsing.details import Detail
from adapters.opcua.browsing.naming import point_names, slug
from adapters.opcua.browsing.pointlist import Heading, number, point_list, quoted
from adapters.opcua.browsing.proposal import propose
from adapters.opcua.browsing.space import Name, Node, Space
from adapters.opcua.browsing.survey import Survey, look, session_of, survey
from adapters.opcua.browsing.templates import Candidate, Subject, equal, shared_ids
from adapters.opcua.browsing.units import UNECE, ucum, unece_code
from adapters.opcua.said import json_text, plain
from adapters.opcua.session import Session
from adapters.registry import build
from config.addressing import NODE_ID
from config.connections import OpcUa
from tests.adapters.machines import HEAD, machine_server, pasted, points_of
from tests.adapters.plant import OpcUaWire, Recorder, WallClock, free_port
from tests.adapters.proxy import proxied
from tests.adapters.secure import SecureServer, certificate, own_keys
from tests.adapters.test_read_only import OPCUA_READS, opcua_said

ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
LATHE = {"spindle_speed", "Load", "PartCount", "running", "program_no"}
ODD = LATHE | {"Chips"}


@pytest.fixture(scope="module")
def workshop() -> Iterator[str]:
    with machine_server("workshop", "{}", "40") as endpoint:
        yield endpoint


def connection(endpoint: str) -> OpcUa:
    return OpcUa(protocol="opcua", endpoint=endpoint, mode="subscribe", timeout_ms=20_000)


def proposed(endpoint: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert plantproof.run(["opcua", "browse", endpoint, *options]) == 0
    return capsys.readouterr().out


def test_the_point_list_of_a_workshop_can_be_pasted_into_a_register(
    workshop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = proposed(workshop, capsys)
    register = pasted(text)
    speed = points_of(register, "LATHE-02")["spindle_speed"]
    assert speed.node == "nsu=urn:example:node-opcua;s={device}.Spindle.Speed"
    assert (speed.type, speed.unit, str(speed.low), str(speed.high)) == ("f64", "/min", "0", "6000")
    assert points_of(register, "LATHE-02").keys() == LATHE
    assert "# 车间/LATHE-01/Spindle/主轴转速" in text
    assert "# 说明: 累计产量 (part counter)" in text
    assert register.device["LATHE-02"].name == "数控车床 LATHE-02"


def test_types_are_those_of_the_server(workshop: str, capsys: pytest.CaptureFixture[str]) -> None:
    register = pasted(proposed(workshop, capsys))
    types = {n: p.type for n, p in points_of(register, "LATHE-09").items()}
    assert types == {
        "spindle_speed": "f64",
        "Load": "f32",
        "PartCount": "u64",
        "running": "bool",
        "program_no": "str",
        "Chips": "i64",
    }
    rest = {p.name: p for p in register.point_set["rest-points"].points}
    assert (rest["Curve"].type, rest["When"].type) == ("str", "str")
    assert rest["a_b_c"].node == 'nsu=urn:example:node-opcua;s=Misc."DB 1"."温度";x'
    assert not {"Secret", "Image"} & rest.keys()
    assert len(rest) == 4 + 40


def test_what_is_not_listed_is_counted_with_its_cause(workshop: str, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.loads(proposed(workshop, capsys, "--json"))
    assert body["left_out"] == {"不可读 (not readable)": 1, "类型 ByteString 不能作测点 (no point type)": 1}
    assert body["complete"] is True


def test_equal_machines_share_one_point_set_and_the_odd_one_has_its_own(
    workshop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    register = pasted(proposed(workshop, capsys))
    equal = {register.device[f"LATHE-0{i}"].points for i in (1, 2, 3)}
    assert len(equal) == 1
    assert register.device["LATHE-09"].points not in equal
    assert points_of(register, "LATHE-09").keys() == ODD


def test_equal_machines_with_irregular_ids_get_a_set_each_and_the_text_says_so(
    workshop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = proposed(workshop, capsys)
    register = pasted(text)
    nodes = [p.node for d in ("device-7001", "device-7101") for p in points_of(register, d).values()]
    assert nodes == [f"nsu=urn:example:node-opcua;i={n}" for n in (7002, 7003, 7102, 7103)]
    assert "2 个对象测点相同, 但节点编号没有规律" in text


def test_one_device_can_be_asked_for(workshop: str, capsys: pytest.CaptureFixture[str]) -> None:
    register = pasted(proposed(workshop, capsys, "--one-device"))
    (device,) = register.devices
    names = points_of(register, device.id)
    assert len(names) == 3 * 5 + 6 + 4 + 44
    assert {"LATHE-01.Spindle.Load", "LATHE-02.Spindle.Load"} <= names.keys()


async def test_proposed_points_are_read_with_the_values_the_server_has(workshop: str) -> None:
    found = await survey(connection(workshop))
    register = pasted(_text(found, workshop).replace('mode = "subscribe"', 'mode = "poll", timeout_ms = 20000'))
    recorder = Recorder()
    for adapter in build(register, Site(WallClock())):
        recorder.batches += await adapter.read_once()
    got = {n: v for r in recorder.rows("LATHE-03") for n, v in r["values"].items()}
    assert got == {
        "spindle_speed": 1002.0,
        "Load": 42.5,
        "PartCount": 17,
        "running": True,
        "program_no": 'O1000 "精车"',
    }


def _text(found: Survey, endpoint: str) -> str:
    from adapters.opcua.cli import _toml

    proposal = propose(found.space, found.known, found.machines, "server")
    return _toml(found, proposal, connection(endpoint), "wide")


LIMITS = {"operationLimits": {"maxNodesPerBrowse": 4, "maxNodesPerRead": 7}, "maxBrowseContinuationPoints": 2}


async def test_a_server_with_small_limits_is_browsed_whole(workshop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "REFERENCES_PER_NODE", 3)
    with machine_server("workshop", json.dumps(LIMITS), "40") as endpoint:
        small = await survey(connection(endpoint))
    assert small.is_complete
    monkeypatch.undo()
    large = await survey(connection(workshop))
    assert _shape(small) == _shape(large)


def _shape(found: Survey) -> dict[str, Any]:
    return {found.space.text(i): (d.type, d.text, d.unit, d.low) for i, d in found.known.items()}


async def test_a_walk_that_stops_at_its_limit_releases_its_continuation_points(
    workshop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "REFERENCES_PER_NODE", 2)
    async with session_of(connection(workshop), None) as session:
        short = await look(session, most=8)
        released = short.space.truncated
        again = await look(session)  # a server holds few continuation points: leaked ones would be missing now
    assert released
    assert len(short.space.nodes) == 8
    assert again.is_complete


async def test_depth_limits_the_levels_of_objects(workshop: str) -> None:
    found = await survey(connection(workshop), depth=2)
    assert max(n.depth for n in found.space.nodes if n.is_object) == 2
    assert {"车间", "LATHE-01"} <= {n.name.text for n in found.space.nodes}
    assert not {"Spindle"} & {n.name.text for n in found.space.nodes}


async def test_a_root_narrows_the_walk_and_an_unknown_one_is_named(workshop: str) -> None:
    root = "nsu=urn:example:node-opcua;s=Presses"
    found = await survey(connection(workshop), root=root)
    assert sorted(n.name.text for n in found.space.nodes if not n.is_object) == ["Force", "Force", "Strokes", "Strokes"]
    with pytest.raises(ReadError, match="没有节点"):
        await survey(connection(workshop), root="nsu=urn:example:node-opcua;s=nowhere")
    with pytest.raises(ReadError, match="没有 nsu=urn:other;s=x 的命名空间"):
        await survey(connection(workshop), root="nsu=urn:other;s=x")


async def test_only_browse_and_read_leave_the_process(workshop: str) -> None:
    port = int(workshop.rpartition(":")[2])
    async with proxied(port) as proxy:
        await survey(connection(f"opc.tcp://127.0.0.1:{proxy.port}"))
    kinds = set(opcua_said(bytes(proxy.said_up)))
    assert {527, 631} <= kinds <= OPCUA_READS


async def test_another_stack_is_browsed_too() -> None:
    port, wire = free_port(), OpcUaWire()
    await wire.start(port)
    try:
        found = await survey(connection(f"opc.tcp://127.0.0.1:{port}/x"))
        text = _text(found, f"opc.tcp://127.0.0.1:{port}/x")
    finally:
        await wire.stop()
    (points,) = pasted(text).point_sets
    assert {p.node for p in points.points} >= {f"nsu=urn:example:machines;s=m1.{n}" for n in ("speed", "count", "name")}
    assert {p.name: p.type for p in points.points}["running"] == "bool"


class FakeSession:
    """A session whose server answers as the test says."""

    def __init__(self, pages: Any, types: Any = None) -> None:
        self.where = "fake"
        self.client = SimpleNamespace(uaclient=SimpleNamespace(session=self))
        self.pages, self.types = pages, types
        self.released: list[bytes] = []
        self.browsed = 0

    async def read(self, parameters: ua.ReadParameters) -> list[ua.DataValue]:
        names: dict[int, Any] = {1: ua.NodeClass.Object, 3: ua.QualifiedName("x", 1), 4: ua.LocalizedText("x")}
        asked = [int(r.AttributeId) for r in parameters.NodesToRead]
        return [ua.DataValue(SimpleNamespace(Value=names.get(a))) for a in asked]

    async def browse(self, parameters: ua.BrowseParameters) -> list[ua.BrowseResult]:
        if parameters.NodesToBrowse[0].ReferenceTypeId == ua.NodeId(40):  # HasTypeDefinition, of the root
            return [result()]
        down = [d for d in parameters.NodesToBrowse if d.BrowseDirection == ua.BrowseDirection.Forward]
        self.browsed += len(down)
        if not down and self.types is not None:
            return [self.types(d.NodeId) for d in parameters.NodesToBrowse]
        return [self.pages(d.NodeId, None) if down else result() for d in parameters.NodesToBrowse]

    async def browse_next(self, parameters: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        if parameters.ReleaseContinuationPoints:
            self.released += parameters.ContinuationPoints
            return [ua.BrowseResult() for _ in parameters.ContinuationPoints]
        return [self.pages(None, p) for p in parameters.ContinuationPoints]


def reference(n: int) -> ua.ReferenceDescription:
    return ua.ReferenceDescription(
        NodeId=ua.NodeId(n, 1),
        BrowseName=ua.QualifiedName(f"v{n}", 1),
        DisplayName=ua.LocalizedText(f"v{n}"),
        NodeClass=ua.NodeClass.Object,
        TypeDefinition=ua.NodeId(58),
    )


def result(*numbers: int, point: bytes | None = None, status: int = 0) -> ua.BrowseResult:
    return ua.BrowseResult(ua.StatusCode(ua.UInt32(status)), point, [reference(n) for n in numbers])


async def walked(pages: Any, most: int = 1000, types: Any = None) -> tuple[Space, FakeSession]:
    session = FakeSession(pages, types)
    space = await Browser(cast(Session, session)).walk(ua.NodeId(85), None, most)
    return space, session


async def test_a_ring_of_nodes_is_walked_once() -> None:
    space, session = await walked(lambda node, _: result((int(node.Identifier) + 1) % 10) if node else result())
    assert len(space.nodes) == 11
    assert session.browsed == 11


async def test_pages_without_end_stop_at_the_limit() -> None:
    space, session = await walked(lambda node, _: result(1, 2, point=b"more"), most=50)
    assert space.truncated
    assert session.released


async def test_an_endless_tree_stops_at_the_limit() -> None:
    def children(node: ua.NodeId | None, _: bytes | None) -> ua.BrowseResult:
        n = int(node.Identifier) if node is not None and node.NamespaceIndex else 1
        return result(2 * n, 2 * n + 1)

    space, _ = await walked(children, most=500)
    assert space.truncated
    assert len(space.nodes) == 500


async def test_a_chain_of_nodes_without_end_is_followed_so_deep_and_said() -> None:
    def child(node: ua.NodeId | None, _: bytes | None) -> ua.BrowseResult:
        return result(int(node.Identifier) + 1 if node is not None else 1)

    space, _ = await walked(child, most=100_000)
    assert len(space.nodes) < 100
    assert list(space.problems) == ["深于 64 层 (too deep)"]


async def test_nodes_that_all_show_each_other_stop_at_the_limit_of_references() -> None:
    everybody = result(*range(1, 400))
    space, _ = await walked(lambda _, __: everybody, most=400)
    assert space.truncated
    assert sum(len(n.children) for n in space.nodes) < 11_000 + 50 * 400


async def test_a_type_with_ancestors_without_end_is_not_followed_for_ever() -> None:
    space, _ = await walked(
        lambda node, _: result(1) if node else result(), types=lambda t: result(int(t.Identifier) + 1)
    )
    assert len(space.ancestors[0, 58]) <= 40


async def test_a_node_without_a_continuation_point_is_asked_again_alone() -> None:
    refused: list[int] = []

    def children(node: ua.NodeId | None, point: bytes | None) -> ua.BrowseResult:
        if point is not None:
            return result(900)
        n = int(node.Identifier) if node is not None else 0
        if n == 85:
            return result(1, 2)
        if n == 2 and not refused:
            refused.append(n)
            return result(status=0x804B_0000)  # Bad_NoContinuationPoints
        return result(100 + n, point=b"p" if n == 1 else None) if n < 10 else result()

    space, _ = await walked(children)
    assert refused == [2]
    assert {k[1] for k in space.index} >= {101, 102, 900}
    assert not space.problems


async def test_a_node_that_refuses_is_counted_and_the_others_are_found() -> None:
    def children(node: ua.NodeId | None, _: bytes | None) -> ua.BrowseResult:
        n = int(node.Identifier) if node is not None else 0
        return result(1, 2) if n == 85 else result(status=0x801F_0000) if n == 1 else result()

    space, _ = await walked(children)
    assert space.problems == {"BadUserAccessDenied": 1}
    assert len(space.nodes) == 3


class Slow(FakeSession):
    """A controller that manages few nodes at once within the time limit."""

    async def browse(self, parameters: ua.BrowseParameters) -> list[ua.BrowseResult]:
        if len(parameters.NodesToBrowse) > 3:
            raise TimeoutError
        return await super().browse(parameters)


async def test_a_server_too_slow_for_a_large_request_gets_smaller_ones() -> None:
    session = Slow(lambda node, _: result(*range(1, 30)) if node.NamespaceIndex == 0 else result())
    space = await Browser(cast(Session, session)).walk(ua.NodeId(85))
    assert len(space.nodes) == 30


class Odd(FakeSession):
    """A server with one value that the library cannot decode."""

    async def read(self, parameters: ua.ReadParameters) -> list[ua.DataValue]:
        if any(int(r.NodeId.Identifier) == 7 for r in parameters.NodesToRead):
            raise ValueError("not decodable")
        return await super().read(parameters)


async def test_a_value_that_cannot_be_decoded_costs_the_others_nothing() -> None:
    browser = Browser(cast(Session, Odd(lambda *_: result())))
    found = await browser.attributes([(ua.NodeId(n), AttributeIds.DisplayName) for n in range(20)])
    assert [a.status for a in found] == [BAD_DECODING if n == 7 else 0 for n in range(20)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(st.text(max_size=70), min_size=1, max_size=4), st.integers() | st.text())))
def test_every_proposed_name_is_an_id_and_none_comes_twice(found: list[tuple[list[str], object]]) -> None:
    names = point_names([p for p, _ in found], [i for _, i in found], ["state", "auto"])
    assert all(ID.match(n) for n in names)
    assert len({*names, "state", "auto"}) == len(names) + 2


@settings(deadline=None)
@given(st.text())
def test_any_text_survives_as_a_toml_string(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    assert tomllib.loads(f"x = {quoted(clean)}") == {"x": clean}


def test_a_text_that_would_read_otherwise_than_it_is_stands_escaped() -> None:
    assert quoted("主轴 a\u202eb\x1b\x9b") == '"主轴 a\\u202Eb\\u001B\\u009B"'
    for text in ("\u202e", "\x9b2J", "\udcd6", "\U000e0041", '主轴 "\n'):
        body = json_text({"a": text})
        assert body.isprintable()
        assert json.loads(body) == {"a": text}
    assert plain("a\x1b]0;t\x07b\n\udcd6c") == "a ]0;t b c"
    assert len(plain("x" * 10**6)) == 201


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_range_is_written_without_loss(value: float) -> None:
    assert float(number(value)) == value
    assert "e" not in number(value).lower()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SpindleSpeed", "SpindleSpeed"),
        ("主轴转速", "spindle_speed"),
        ("X 轴温度", "X_axis_temperature"),
        ("Größe", "Groe"),
        ("压力机甲", ""),
        ('"DB_1"."Speed"', "DB_1_._Speed"),
    ],
)
def test_names_keep_ascii_and_translate_known_words_only(text: str, name: str) -> None:
    assert slug(text) == name


def test_units_are_ucum_by_code_and_unknown_ones_are_left_open() -> None:
    assert unece_code(4_408_652) == "CEL"
    assert ucum(UNECE, 4_408_652, "anything") == "Cel"
    assert ucum(UNECE, int.from_bytes(b"ZZ9", "big"), "°C") == ""
    assert ucum("", -1, "°C") == "Cel"
    assert ucum("urn:maker", 5, "mm") == ""


DETAILS = st.builds(
    Detail,
    type=st.sampled_from([*ValueType, None]),
    wire=st.text(max_size=5),
    readable=st.booleans(),
    is_array=st.booleans(),
    value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    status=st.sampled_from([0, 0x8000_0000]),
    description=st.text(max_size=9),
    unit=st.sampled_from(["", "mm"]),
    low=st.none() | st.floats(-1e6, 0),
    high=st.none() | st.floats(1, 1e6),
)
IDENTIFIERS = st.integers(0, 2**32 - 1) | st.text(max_size=12) | st.uuids() | st.binary(max_size=6)
NODES = st.lists(st.tuples(st.integers(0, 99), st.text(max_size=9), IDENTIFIERS, st.none() | DETAILS), max_size=25)


@settings(deadline=None)
@given(NODES, st.sampled_from(["urn:x", "urn:a;b", "http://x/主轴", ""]), st.sampled_from(["event", "wide"]))
def test_whatever_a_server_says_the_text_loads_as_a_register(nodes: list[Any], uri: str, kind: str) -> None:
    space = Space(("http://opcfoundation.org/UA/", uri))
    space.nodes.append(Node((0, 85), Name(0, "Objects"), "", True, (0, 61), -1, 0))
    known = {}
    for above, name, identifier, detail in nodes:
        parent, here = above % len(space.nodes), len(space.nodes)
        kind_of = (0, 58) if detail is None else (0, 63)
        if (1, identifier) in space.index:
            continue
        space.index[1, identifier] = here
        space.nodes.append(Node((1, identifier), Name(1, name), name, detail is None, kind_of, parent, 0))
        space.nodes[parent].children.append(here)
        if detail is not None:
            known[here] = detail
    proposal = propose(space, known, [], "标签")
    fields: dict[str, str | int | bool] = {"protocol": "opcua", "endpoint": "opc.tcp://x", "mode": "poll"}
    fields["mode"] = "subscribe" if kind == "event" else "poll"
    text = point_list(space, known, proposal.sheets, Heading("opc.tcp://x", "s\n", date(2026, 1, 1), kind, fields))
    register = pasted(text.encode("utf-8", "replace").decode())
    by_id = register.point_set
    back = [p.node for s in by_id.values() for p in s.points if "{device}" not in (p.node or "")]
    for device in register.devices:
        points = by_id[device.points or ""].points
        back += [p.node.replace("{device}", device.id) for p in points if p.node and "{device}" in p.node]
    points = [space.text(i) for i, d in known.items() if d.readable and d.type is not None]
    assert sorted(filter(None, back)) == sorted(t for t in points if NODE_ID.fullmatch(t))


def small_space(ids: list[str], places: list[str]) -> tuple[Space, list[Subject]]:
    space = Space(("http://opcfoundation.org/UA/", "urn:x"))
    space.nodes.append(Node((0, 85), Name(0, "Objects"), "", True, (0, 61), -1, 0))
    subjects = []
    for i, name in enumerate(ids):
        machine = len(space.nodes)
        space.nodes.append(Node((1, 1000 + i), Name(1, name), name, True, (0, 58), 0, 1))
        points = []
        for k, place in enumerate(places):
            points.append(Candidate(len(space.nodes), ((1, f"p{k}"),)))
            text = place.format(name=name)
            space.nodes.append(Node((1, text), Name(1, f"p{k}"), "", False, (0, 63), machine, 2))
        subjects.append(Subject(machine, points))
    return space, subjects


@settings(deadline=None)
@given(
    st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True), min_size=2, max_size=5, unique=True),
    st.lists(st.sampled_from(["{name}.Speed", "PLC/{name}/Load", "{name}", "a{name}b{name}"]), min_size=1, unique=True),
)
def test_putting_the_device_ids_back_gives_the_servers_node_ids(ids: list[str], places: list[str]) -> None:
    space, subjects = small_space(ids, places)
    keys = shared_ids(space, subjects, set())
    if keys is not None:
        from adapters.opcua.browsing.templates import with_device

        shared = [with_device(space.text(c.node), keys[0]) for c in subjects[0].points]
        for subject, key in zip(subjects, keys, strict=True):
            assert [t.replace("{device}", key) for t in shared] == [space.text(c.node) for c in subject.points]


def test_children_of_one_browse_name_are_each_checked_before_ids_are_shared() -> None:
    space, subjects = small_space(["M-1", "M-2"], ["X.{name}.Speed", "X.{name}.Load"])
    for subject in subjects:
        subject.points = [Candidate(c.node, ((1, "Value"),)) for c in subject.points]
    assert shared_ids(space, subjects, set()) == ["M-1", "M-2"]
    space.nodes[subjects[1].points[0].node].key = (1, "X.M-02.Speed")
    assert shared_ids(space, subjects, set()) is None
    del subjects[1].points[0]
    assert len(equal({}, subjects)) == 2


def test_a_name_with_a_line_break_behind_it_is_no_device_id() -> None:
    space, subjects = small_space(["M-1\n", "M-2\n"], ["X.{name}.Speed"])
    keys = shared_ids(space, subjects, set())
    assert keys is None or all(k.isprintable() for k in keys)


@pytest.mark.parametrize("identifier", ["X.{device}.Speed", "\udcd6\udcf7.Speed"])
def test_a_node_id_the_register_would_give_back_changed_is_left_out_and_counted(identifier: str) -> None:
    space, subjects = small_space(["M-1"], ["good", "bad"])
    good, bad = (c.node for c in subjects[0].points)
    space.nodes[0].children, space.nodes[subjects[0].node].children = [subjects[0].node], [good, bad]
    space.nodes[bad].key = (1, identifier)
    known = {i: Detail(ValueType.F64, "Double", readable=True) for i in (good, bad)}
    machine = Machine(subjects[0].node, "m", [RolePoint(bad, "state", "state", "")], extra=[bad])
    for machines in ([], [machine]):
        proposal = propose(space, known, machines, "x" * 80)
        (sheet,) = proposal.sheets
        assert [p.node for p in sheet.points] == ["nsu=urn:x;s=good"]
        assert list(proposal.left_out.values()) == [1]
        assert len(sheet.id) <= 64


def test_ids_around_a_number_are_shared_and_ids_that_cannot_be_devices_are_not() -> None:
    space, subjects = small_space(["M-1", "M-2"], ["X.{name}.Speed", "X.{name}.Load"])
    assert shared_ids(space, subjects, set()) == ["M-1", "M-2"]
    space, subjects = small_space(["机床1", "机床2"], ["Line.{name}.Speed", "Line.{name}.Load"])
    assert shared_ids(space, subjects, set()) == ["1", "2"]
    space, subjects = small_space(["机床甲", "机床乙"], ["Line.{name}.Speed"])
    assert shared_ids(space, subjects, set()) is None
    space, subjects = small_space(["M-1", "M-2"], ["X.{name}.Speed", "X.{name}.Load"])
    space.nodes[subjects[1].points[1].node].key = (1, "X.M-02.Load")
    assert shared_ids(space, subjects, set()) is None


def test_equal_ids_in_two_folders_do_not_become_one_device() -> None:
    space = Space(("http://opcfoundation.org/UA/", "urn:x"))
    space.nodes.append(Node((0, 85), Name(0, "Objects"), "", True, (0, 61), -1, 0))
    known = {}

    def add(parent: int, name: str, kind: int, is_object: bool) -> int:
        here = len(space.nodes)
        path = "/".join([*space.path(parent), name])
        space.nodes.append(Node((1, path), Name(1, name), name, is_object, (0, kind), parent, 0))
        space.nodes[parent].children.append(here)
        return here

    for hall, points in (("A", ["Speed"]), ("B", ["Load"])):
        folder = add(0, hall, 61, True)
        for machine in ("M-1", "M-2"):
            at = add(folder, machine, 58, True)
            for point in points:
                known[add(at, point, 63, False)] = Detail(ValueType.F64, "Double", readable=True)
    proposal = propose(space, known, [], "x")
    ids = [d.id for s in proposal.sheets for d in s.devices]
    assert len(set(ids)) == len(ids) == 4
    back = {p.node.replace("{device}", d.id) for s in proposal.sheets for d in s.devices for p in s.points}
    assert back == {f"nsu=urn:x;s={path}" for path in ("A/M-1/Speed", "A/M-2/Speed", "B/M-1/Load", "B/M-2/Load")}


def test_a_trial_of_many_points_names_the_ones_without_a_value(
    workshop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "register.toml"
    text = proposed(workshop, capsys, "--one-device").replace('mode = "', 'timeout_ms = 20000, mode = "')
    file.write_text(HEAD + text, encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "100")
    assert plantproof.run(["test", "--register", str(file)]) == 0
    words = capsys.readouterr().err
    assert "68/69" in words
    assert "无有效值: a_b_c" in words
    assert len(words.splitlines()) < 15


@pytest.fixture
def written(workshop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    file = tmp_path / "register.toml"
    file.write_text(HEAD + proposed(workshop, capsys), encoding="utf-8")
    return file


def diffed(file: Path, device: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = plantproof.run(["opcua", "diff", "--register", str(file), "--device", device, "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def test_a_register_made_by_browse_equals_its_server(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, body = diffed(written, "LATHE-02", capsys)
    assert code == 0
    assert (body["missing"], body["changed"], body["extra"], body["same"]) == ([], [], [], 5)


def test_diff_names_what_is_gone_what_changed_and_what_is_new(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = written.read_text(encoding="utf-8")
    text = text.replace("s={device}.Program", "s={device}.Recipe").replace("s={device}.Running", "s={device}.Count")
    text = text.replace('unit = "%"', 'unit = "1"', 1).replace('high = "6000"', 'high = "5000"', 1)
    written.write_text(text, encoding="utf-8")
    code, body = diffed(written, "LATHE-02", capsys)
    assert code == 3
    assert [f["point"] for f in body["missing"]] == ["program_no"]
    changes = {(f["point"], f["register"], f["server"]) for f in body["changed"]}
    assert changes == {("Load", "1", "%"), ("spindle_speed", "0 … 5000", "0 … 6000")}
    assert {e["node"].rpartition(".")[2] for e in body["extra"]} == {"Running", "Program"}


def test_a_data_type_that_does_not_fit_is_a_change(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = written.read_text(encoding="utf-8").replace('name = "Load"\ntype = "f32"', 'name = "Load"\ntype = "i64"', 1)
    written.write_text(text, encoding="utf-8")
    code, body = diffed(written, "LATHE-01", capsys)
    assert code == 3
    assert [(f["point"], f["register"], f["server"]) for f in body["changed"]] == [("Load", "i64", "Float")]


def test_nodes_the_register_lacks_are_problems_only_when_asked(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = re.sub(r"(?s)\n# [^\n]*LATHE-01/程序号.*?(?=\n# ─)", "\n", written.read_text(encoding="utf-8"), count=1)
    written.write_text(text, encoding="utf-8")
    code, body = diffed(written, "LATHE-01", capsys)
    assert (code, [e["path"] for e in body["extra"]]) == (0, ["车间/LATHE-01/程序号"])
    code, _ = diffed(written, "LATHE-01", capsys, "--strict")
    assert code == 3


def test_the_same_server_by_another_address_has_nothing_extra(
    written: Path, workshop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, body = diffed(written, "LATHE-02", capsys, workshop.replace("127.0.0.1", "localhost"))
    assert (code, body["missing"], body["extra"], body["same"]) == (0, [], [], 5)


def test_a_server_that_is_not_there_is_exit_code_5(capsys: pytest.CaptureFixture[str]) -> None:
    assert plantproof.run(["opcua", "browse", f"opc.tcp://127.0.0.1:{free_port()}"]) == 5
    assert "连接被拒绝" in capsys.readouterr().err


def test_wrong_arguments_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "there.toml"
    out.write_text("mine", encoding="utf-8")
    assert plantproof.run(["opcua", "browse", "opc.tcp://127.0.0.1:1", "--out", str(out)]) == 2
    assert plantproof.run(["opcua", "browse", "http://127.0.0.1"]) == 2
    assert plantproof.run(["opcua", "browse"]) == 2
    assert plantproof.run(["opcua", "diff"]) == 2
    assert plantproof.run(["opcua", "browse", "opc.tcp://127.0.0.1:1", "--out", str(tmp_path / "no/x.toml")]) == 2
    assert out.read_text(encoding="utf-8") == "mine"
    words = capsys.readouterr().err
    assert "文件已存在" in words
    assert "expected opc.tcp://host:port" in words


def test_a_browse_through_a_devices_connection_uses_its_mode(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = 'mode = "poll", timeout_ms = 9000, backups = ["opc.tcp://10.0.0.2:4840"]'
    text = written.read_text(encoding="utf-8").replace('mode = "subscribe"', more)
    written.write_text(text.replace('kind = "event"', 'kind = "wide"'), encoding="utf-8")
    out = tmp_path / "points.toml"
    assert (
        plantproof.run(["opcua", "browse", "--register", str(written), "--device", "LATHE-01", "--out", str(out)]) == 0
    )
    register = pasted(out.read_text(encoding="utf-8"))
    assert {p.kind for p in register.point_sets} == {"wide"}
    its = register.device["LATHE-01"].connection
    assert isinstance(its, OpcUa)
    assert (its.mode, its.timeout_ms, its.backups) == ("poll", 9000, ("opc.tcp://10.0.0.2:4840",))


async def test_a_secured_server_is_browsed_with_our_certificate(tmp_path: Path) -> None:
    identity = certificate("server")
    keys = own_keys(tmp_path / "keys", trust=[identity])
    async with SecureServer(tmp_path / "server", identity, policies=["Basic256Sha256"], modes=["Sign"]) as server:
        secured = OpcUa(
            protocol="opcua",
            endpoint=f"opc.tcp://127.0.0.1:{server.port}",
            policy="Basic256Sha256",
            security_mode="Sign",
            timeout_ms=20_000,
        )
        found = await survey(secured, keys)
    assert "nsu=urn:example:machines;s=m1.speed" in {found.space.text(i) for i in found.known}


def test_a_range_the_value_is_outside_of_stays_a_comment(workshop: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = proposed(workshop, capsys)
    rest = {p.name: p for p in pasted(text).point_set["rest-points"].points}
    assert rest["Hot"].low is None
    assert "# 服务器量程 0 … 100 不含当前值, 未采用" in text
