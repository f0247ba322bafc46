"""Every data type: what a server on another stack holds is what our rows say; structures by whatever description the server has."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from asyncua import Server, ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.common.type_dictionary_builder import DataTypeDictionaryBuilder

from adapters.batch import BAD_NO_DATA, GOOD, Outcome
from adapters.contract import Site
from adapters.opcua.values.datatypes import learn
from adapters.opcua.values.shape import BAD_DATA_TYPE_ID_UNKNOWN, BAD_ENCODING_LIMITS_EXCEEDED
from adapters.opcua.values.structures import Types
from adapters.registry import build
from adapters.values import BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH
from tests.adapters.plant import Recorder, Running, WallClock, device_of, free_port, register_of
from tests.adapters.stacks import NodeServer

SPACE = "nsu=urn:example:node-opcua;s={device}"
# name of the point, type, node, path, what the row says
HELD: list[tuple[str, str, str, str | None, object]] = [
    ("sbyte", "i64", "t_sbyte", None, -128),
    ("byte", "u64", "t_byte", None, 255),
    ("int16", "i64", "t_int16", None, -32768),
    ("uint32", "u64", "t_uint32", None, 2**32 - 1),
    ("uint64", "u64", "t_uint64", None, 2**53 + 1),
    ("uint64_text", "str", "t_uint64", None, str(2**53 + 1)),
    ("inf", "f64", "t_inf", None, math.inf),
    ("datetime", "str", "t_datetime", None, "2026-11-22T01:02:03.456000+00:00"),
    ("guid", "str", "t_guid", None, "72962b91-fa75-4ae6-8d28-b404dc7daf63"),
    ("bytes", "str", "t_bytes", None, "AP8Q"),
    ("xml", "str", "t_xml", None, "<a>值</a>"),
    ("nodeid", "str", "t_nodeid", None, "ns=1;s=主轴"),
    ("status", "u64", "t_status", None, 0x808C0000),
    ("qualified", "str", "t_qualified", None, "1:转速"),
    ("localized", "str", "t_localized", None, "运行中"),
    ("doubles", "str", "t_doubles", None, '[1.5,"NaN",-2.5]'),
    ("third", "f64", "t_doubles", "$[2]", -2.5),
    ("texts", "str", "t_texts", None, '["一",null,""]'),
    ("none", "str", "t_none", None, "[]"),
    ("matrix", "str", "t_matrix", None, "[[1,2,3],[4,5,6]]"),
    ("cell", "i64", "t_matrix", "$[1][2]", 6),
    ("state", "i64", "t_state", None, 3),
    ("state_name", "str", "t_state", None, "Suspended"),
    ("range", "str", "t_range", None, '{"High":99.0,"Low":-1.5}'),
    ("high", "f64", "t_range", "$.High", 99.0),
]
BAD: list[tuple[str, str, str, str | None, int]] = [
    ("nan", "f64", "t_nan", None, BAD_NO_DATA),
    ("beyond", "f64", "t_doubles", "$[3]", BAD_NO_DATA),
    ("nowhere", "f64", "t_range", "$.Middle", BAD_NO_DATA),
    ("array_as_number", "f64", "t_doubles", None, BAD_TYPE_MISMATCH),
    ("structure_as_number", "f64", "t_range", None, BAD_TYPE_MISMATCH),
    ("huge", "str", "t_huge", None, BAD_ENCODING_LIMITS_EXCEEDED),
]


def point(name: str, kind: str, node: str, path: str | None) -> dict[str, Any]:
    return {"name": name, "type": kind, "node": node, **({"element": path} if path else {})}


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
async def test_node_opcua_values_of_every_type_arrive_as_the_server_holds_them(mode: str) -> None:
    points = [point(n, t, f"{SPACE}.{node}", path) for n, t, node, path, _ in (*HELD, *BAD)]
    async with NodeServer("opcua_server.js") as server:
        endpoint = f"opc.tcp://127.0.0.1:{server.port}"
        device = device_of("m1", {"protocol": "opcua", "endpoint": endpoint, "mode": mode, "timeout_ms": 10_000})
        register = register_of(points, [device], "wide" if mode == "poll" else "event")
        async with Running(register, Recorder()) as recorder:
            await recorder.until(
                lambda: len({n for r in recorder.rows("m1") for n in r["marks"]}) == len(points), "every point"
            )
    rows = [r for r in recorder.rows("m1") if r["outcome"] is Outcome.OK]
    values = {k: v for r in rows for k, v in r["values"].items()}
    assert {n: values.get(n) for n, *_ in HELD} == {n: held for n, _, _, _, held in HELD}
    assert faults(recorder) == {n: why for n, _, _, _, why in BAD} | {"inf": BAD_OUT_OF_RANGE}
    assert math.isnan(values["nan"])
    assert {n for n, *_ in BAD if n in values} == {"nan"}


@asynccontextmanager
async def machine(fill: Any) -> AsyncIterator[int]:
    """asyncua's server with a machine that `fill` describes."""
    server, port = Server(), free_port()
    await server.init()
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/x")
    index = await server.register_namespace("urn:example:machines")
    await fill(server, index)
    async with server:
        yield port


async def once(port: int, *points: dict[str, Any]) -> dict[str, Any]:
    connection = {"protocol": "opcua", "endpoint": f"opc.tcp://127.0.0.1:{port}/x", "timeout_ms": 10_000}
    register = register_of(list(points), [device_of("m1", connection)])
    recorder = Recorder(batches=await build(register, Site(WallClock()))[0].read_once())
    return recorder.rows("m1")[0]


def faults(recorder: Recorder) -> dict[str, int]:
    """Points whose newest quality is not Good, with it."""
    found: dict[str, int] = {}
    for batch in recorder.batches:
        names = [p.name for p in batch.template.points]
        for k in range(len(batch)):
            marks = [int((batch.quality if own is None else own)[k]) for own in batch.point_quality]
            if batch.template.kind == "wide":
                found |= dict(zip(names, marks, strict=True))
            else:
                found[names[int(batch.columns[0].values[k])]] = max(marks)
    return {n: m for n, m in found.items() if m}


def seen(recorder: Recorder, name: str) -> list[tuple[object, int]]:
    """Values of an f64 point with their qualities, in order."""
    found: list[tuple[object, int]] = []
    for batch in recorder.batches:
        index = [p.name for p in batch.template.points].index(name)
        column, marks = batch.columns[1], batch.point_quality[1]
        for k in np.flatnonzero(np.asarray(batch.columns[0].values) == index).tolist():
            there = column.valid is None or bool(column.valid[k])
            mark = int((batch.quality if marks is None else marks)[k])
            found.append((float(column.values[k]) if there else None, mark))
    return found


def nsu(name: str) -> str:
    return f"nsu=urn:example:machines;s={name}"


async def test_structures_enumerations_unions_and_optional_fields_by_their_data_type_definition() -> None:
    async def fill(server: Server, index: int) -> None:
        mode, _ = await new_enum(server, index, "Mode", ["Off", "自动", "Manual"]), None
        position, _ = await new_struct(
            server,
            index,
            "Position",
            [new_struct_field("X", ua.VariantType.Double), new_struct_field("Y", ua.VariantType.Double)],
        )
        job, _ = await new_struct(
            server,
            index,
            "Job",
            [
                new_struct_field("Name", ua.VariantType.String),
                new_struct_field("Mode", mode),
                new_struct_field("At", position),
                new_struct_field("Path", position, array=True),
                new_struct_field("Counts", ua.VariantType.UInt16, array=True),
                new_struct_field("Note", ua.VariantType.String, optional=True),
            ],
        )
        types = await server.load_data_type_definitions()
        held = types["Job"]()
        held.Name, held.Mode, held.Counts = "外圆", types["Mode"](1), [7, 65535]
        held.At, held.Path = types["Position"](), [types["Position"](), types["Position"]()]
        held.At.X, held.Path[1].Y = 1.5, -2.0
        await server.nodes.objects.add_variable(ua.NodeId("job", index), "job", held, datatype=job.nodeid)
        await server.nodes.objects.add_variable(
            ua.NodeId("mode", index), "mode", 1, ua.VariantType.Int32, datatype=mode.nodeid
        )
        hidden = await server.nodes.objects.add_variable(ua.NodeId("hidden", index), "hidden", held)
        await hidden.write_attribute(ua.AttributeIds.DataType, ua.DataValue(ua.NodeId(ua.Int32(22))))

    async with machine(fill) as port:
        row = await once(
            port,
            point("job", "str", nsu("job"), None),
            point("x", "f64", nsu("job"), "$.At.X"),
            point("last_y", "f64", nsu("job"), "$.Path[1].Y"),
            point("job_mode", "str", nsu("job"), "$.Mode"),
            point("job_mode_number", "i64", nsu("job"), "$.Mode"),
            point("note", "str", nsu("job"), "$.Note"),
            point("mode", "str", nsu("mode"), None),
            point("mode_number", "i64", nsu("mode"), None),
            point("hidden", "f64", nsu("hidden"), "$.At.X"),
        )
    whole = {
        "At": {"X": 1.5, "Y": 0.0},
        "Counts": [7, 65535],
        "Mode": 1,
        "Name": "外圆",
        "Path": [{"X": 0.0, "Y": 0.0}, {"X": 0.0, "Y": -2.0}],
    }
    text = row["values"].pop("job")
    assert text == json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert row["values"] == {
        "x": 1.5,
        "last_y": -2.0,
        "job_mode": "自动",
        "job_mode_number": 1,
        "mode": "自动",
        "mode_number": 1,
        "hidden": 1.5,
    }
    assert {n: m for n, m in row["marks"].items() if m} == {"note": BAD_NO_DATA}


async def test_structures_by_the_type_dictionary_of_an_older_server() -> None:
    async def fill(server: Server, index: int) -> None:
        builder = DataTypeDictionaryBuilder(server, index, "urn:example:machines", "Legacy")
        await builder.init()
        axis = await builder.create_data_type("Axis")
        axis.add_field("Load", ua.VariantType.Float)
        axis.add_field("Name", ua.VariantType.String)
        head = await builder.create_data_type("Head")
        head.add_field("Ready", ua.VariantType.Boolean)
        head.add_field("Main", axis)
        head.add_field("Codes", ua.VariantType.Int16, is_array=True)
        await builder.set_dict_byte_string()
        await server.load_type_definitions()
        held = ua.Head()  # type: ignore[attr-defined]
        held.Ready, held.Codes, held.Main.Load, held.Main.Name = True, [1, -1], 0.5, "主轴"
        await server.nodes.objects.add_variable(ua.NodeId("head", index), "head", held, datatype=head.data_type)
        for data_type in (head.data_type, axis.data_type):  # as a server that never had this attribute
            del server.iserver.aspace[data_type].attributes[ua.AttributeIds.DataTypeDefinition]

    async with machine(fill) as port:
        row = await once(
            port, point("head", "str", nsu("head"), None), point("load", "f32", nsu("head"), "$.Main.Load")
        )
    assert row["values"] == {
        "head": '{"Codes":[1,-1],"Main":{"Load":0.5,"Name":"主轴"},"Ready":true}',
        "load": 0.5,
    }


async def test_theme_7_a_structure_that_nobody_describes_is_bad_with_its_cause_and_stops_nobody() -> None:
    async def fill(server: Server, index: int) -> None:
        strange = ua.ExtensionObject(TypeId=ua.NodeId("nowhere", index), Body=b"\x01\x02")
        await server.nodes.objects.add_variable(
            ua.NodeId("strange", index), "strange", strange, datatype=ua.NodeId(ua.Int32(22))
        )
        await server.nodes.objects.add_variable(ua.NodeId("speed", index), "speed", 1.5)

    async with machine(fill) as port:
        row = await once(port, point("strange", "str", nsu("strange"), None), point("speed", "f64", nsu("speed"), None))
    assert row["values"] == {"speed": 1.5}
    assert row["marks"] == {"strange": BAD_DATA_TYPE_ID_UNKNOWN, "speed": GOOD}


async def test_theme_19_a_node_that_changes_its_type_is_bad_and_the_others_go_on() -> None:
    nodes: dict[str, Any] = {}
    write: list[Any] = []

    async def fill(server: Server, index: int) -> None:
        write.append(server.write_attribute_value)
        for name in ("a", "b"):
            nodes[name] = await server.nodes.objects.add_variable(ua.NodeId(name, index), name, 1.5)

    async with machine(fill) as port:
        connection = {
            "protocol": "opcua",
            "endpoint": f"opc.tcp://127.0.0.1:{port}/x",
            "mode": "subscribe",
            "sampling_ms": 100,
        }
        points = [point(n, "f64", nsu(n), None) for n in nodes]
        async with Running(register_of(points, [device_of("m1", connection)], "event"), Recorder()) as recorder:
            await recorder.until(lambda: {r["point"] for r in recorder.rows("m1")} == {"a", "b"}, "both values")
            await write[0](nodes["a"].nodeid, ua.DataValue(ua.Variant([1.0, 2.0])))
            await nodes["b"].write_value(2.5)
            await recorder.until(lambda: seen(recorder, "a")[-1] == (None, BAD_TYPE_MISMATCH), "the type mismatch")
            await recorder.until(lambda: seen(recorder, "b")[-1] == (2.5, GOOD), "the other node's value")
    assert seen(recorder, "a")[0] == (1.5, GOOD)


class Circular:
    """A server whose two data types are each the other's supertype, and neither has a definition."""

    where = "server"
    asked = 0

    async def read_attribute(self, nodes: Any, attribute: int) -> Any:
        data_type = "ns=1;i=1" if attribute == ua.AttributeIds.DataType else None
        return SimpleNamespace(raws=lambda: [data_type] * len(nodes))

    async def browse(self, parameters: ua.BrowseParameters) -> Any:
        self.asked += 1
        (node,) = parameters.NodesToBrowse
        other = ua.NodeId(3 - cast(int, node.NodeId.Identifier), 1)
        is_subtype = node.ReferenceTypeId.Identifier == ua.ObjectIds.HasSubtype
        found = [SimpleNamespace(NodeId=other, BrowseName=ua.QualifiedName("T", 1))] if is_subtype else []
        return [SimpleNamespace(References=found)]


async def test_data_types_that_are_each_others_supertype_are_unknown_and_nothing_else() -> None:
    server, types = Circular(), Types()
    assert await learn(cast(Any, server), types, [ua.NodeId(9, 1)]) == ["ns=1;i=1"]
    assert types.described == {}
    assert server.asked < 10
