"""POST /api/v1/records: durable before it is answered, once per key, for local programs with the token only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

import collector.intake.inbox as box
from collector.intake.follow import Intake, ensure_token
from collector.record_revisions import imports
from config.settings import RecordsTable
from evidence_api.web import intake, problems
from evidence_api.web.security import Guard
from tests.collector.intake.plant import GOOD, RecordsPlant
from tests.evidence_api.web.plant_folder import browser

KEY = {"idempotency-key": "a-key-of-my-own", "content-type": "application/json"}
ROWS = json.dumps({"rows": [{"batch_id": "B1", "product": "轴", "trial": False}, {"batch_id": "B2", "product": "轴"}]})


@pytest.fixture
def plant(tmp_path: Path) -> RecordsPlant:
    return RecordsPlant(tmp_path)


@pytest.fixture
async def client(plant: RecordsPlant) -> AsyncIterator[httpx.AsyncClient]:
    """A local program with the token; the service waits 0.2 s for an answer."""
    app = FastAPI()
    problems.install(app)
    app.include_router(intake.routes(plant.folder, wait_s=0.2))
    app.add_middleware(Guard)
    async with browser(app) as found:
        found.headers["authorization"] = f"Bearer {ensure_token(plant.folder)}"
        yield found


def imported(plant: RecordsPlant) -> None:
    """The intake process looks once."""
    Intake(plant.folder, RecordsTable(), plant.clock).look(0.0)


async def test_rows_are_imported_and_answered_with_what_became_of_each(
    client: httpx.AsyncClient, plant: RecordsPlant
) -> None:
    sending = asyncio.create_task(client.post("/api/v1/records/batches", content=ROWS, headers=KEY))
    await asyncio.sleep(0.05)
    imported(plant)
    answer = await sending
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["revision"], body["rows"], body["accepted"], body["quarantined"]) == (1, 2, 1, 1)
    assert body["quarantine"][0]["row"] == 2
    assert body["quarantine"][0]["code"] == ["empty"]
    again = await client.post("/api/v1/records/batches", content=ROWS, headers=KEY)
    assert (again.status_code, again.json()) == (201, body)
    assert len(imports(plant.folder)) == 1


async def test_a_delivery_waits_when_nobody_imports_and_says_so(client: httpx.AsyncClient, plant: RecordsPlant) -> None:
    answer = await client.post("/api/v1/records/batches", content=ROWS, headers=KEY)
    assert answer.status_code == 202
    assert answer.json()["intake_running"] is False
    assert "未运行" in answer.json()["message"]
    status = answer.headers["location"]
    assert (await client.get(status)).status_code == 202
    imported(plant)
    assert (await client.get(status)).json()["accepted"] == 1
    assert (await client.get("/api/v1/records/deliveries/" + "0" * 64)).status_code == 404


async def test_csv_is_taken_too_and_another_body_under_the_same_key_is_refused(client: httpx.AsyncClient) -> None:
    headers = KEY | {"content-type": "text/csv; charset=utf-8"}
    first = await client.post("/api/v1/records/batches", content=GOOD["batches.csv"].encode(), headers=headers)
    assert first.status_code == 202
    other = await client.post("/api/v1/records/batches", content=b"batch_id\nB9\n", headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key_reused")
    kind = await client.post("/api/v1/records/lots", content=GOOD["batches.csv"].encode(), headers=headers)
    assert kind.status_code == 409


async def test_a_delivery_refused_as_a_whole_is_answered_with_every_problem(
    client: httpx.AsyncClient, plant: RecordsPlant
) -> None:
    body = '{"kind": "batches", "rows": [{"batch_id": "B1", "colour": "red", "size": 1}]}'
    await client.post("/api/v1/records/batches", content=body, headers=KEY)
    imported(plant)
    answer = await client.post("/api/v1/records/batches", content=body, headers=KEY)
    assert answer.status_code == 422
    assert [p["where"] for p in answer.json()["problems"]] == ["colour", "size"]
    assert not imports(plant.folder)
    assert list((plant.folder.records / "inbox/refused").glob("*.why.json"))


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"authorization": "Bearer wrong"}, 401, "token_required"),
        ({"authorization": "Basic eA=="}, 401, "token_required"),
        ({"origin": "http://127.0.0.1:8420"}, 403, "not_for_browsers"),
        ({"sec-fetch-site": "same-origin"}, 403, "not_for_browsers"),
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "content_type"),
        ({"content-type": "text/plain"}, 415, "content_type"),
        ({"content-type": "multipart/form-data; boundary=x"}, 415, "content_type"),
        ({"idempotency-key": "short"}, 400, "idempotency_key"),
        ({"idempotency-key": "x" * 129}, 400, "idempotency_key"),
        ({"idempotency-key": "with a blank"}, 400, "idempotency_key"),
        ({"content-length": str(17 << 20)}, 413, "too_large"),
    ],
)
async def test_what_is_refused_leaves_nothing_behind(
    client: httpx.AsyncClient, plant: RecordsPlant, change: dict[str, str], status: int, code: str
) -> None:
    answer = await client.post("/api/v1/records/batches", content=ROWS, headers=KEY | change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not box.waiting(box.inbox_of(plant.folder.records), "rest")


@pytest.mark.parametrize("body", [b"", b"{half", b'"text"', b"\xff\xfe"])
async def test_what_is_no_json_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post("/api/v1/records/batches", content=body, headers=KEY)).status_code == 422


async def test_a_large_body_is_cut_off_while_it_arrives(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * (1 << 20)

    answer = await client.post("/api/v1/records/batches", content=endless(), headers=KEY)
    assert answer.status_code == 413


async def test_unknown_kinds_and_other_methods_are_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/v1/records/nothing", content=ROWS, headers=KEY)).status_code == 404
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert (await client.request(method, "/api/v1/records/batches")).status_code == 405
    assert (await client.post("/api/v1/records/deliveries/x", content=ROWS, headers=KEY)).status_code == 405


async def test_a_token_that_others_may_read_opens_nothing(client: httpx.AsyncClient, plant: RecordsPlant) -> None:
    token = plant.folder.keys / "intake.token"
    assert token.stat().st_mode & 0o777 == 0o600
    token.chmod(0o644)
    assert (await client.post("/api/v1/records/batches", content=ROWS, headers=KEY)).status_code == 401


async def test_two_requests_of_one_key_at_once_are_one_delivery(client: httpx.AsyncClient, plant: RecordsPlant) -> None:
    bodies = [json.dumps({"rows": [{"batch_id": f"B{i}", "product": "轴", "trial": 0}]}) for i in range(4)]
    answers = await asyncio.gather(*(client.post("/api/v1/records/batches", content=b, headers=KEY) for b in bodies))
    assert sorted(a.status_code for a in answers) == [202, 409, 409, 409]
    imported(plant)
    assert imports(plant.folder)[0].counts["accepted"] == 1
