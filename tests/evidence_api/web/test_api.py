"""`/api/v1`: same integers as the report, one error shape, downloads, and who may ask."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pytest
from fastapi import FastAPI

from evidence_api.web.security import HEADERS, is_loopback
from tests.evidence_api.web.plant_folder import DEVICES, Plant, browser

PACK = "PP-20261122-DEMO.zip"


async def test_health_names_last_contact_newest_seal_and_disk(client: httpx.AsyncClient, plant: Plant) -> None:
    body = (await client.get("/api/v1/health")).json()
    assert body["status"] == "ok"
    assert body["origin"] == "simulated"
    assert (body["collector_running"], body["collector_at_us"]) == (True, plant.clock.now_us() - 2_000_000)
    assert body["last_contact_us"] == plant.clock.now_us() - 5_000_000
    assert body["newest_seal_hour"] == "2026-11-22T03Z"
    assert body["ledger_size"] == 5
    assert body["checkpoint_origin"].startswith("plantproof/")
    assert body["disk_free_bytes"] > 0


async def test_a_collector_that_went_silent_is_not_called_running(client: httpx.AsyncClient, plant: Plant) -> None:
    plant.clock.advance_to(plant.clock.now_us() + 60_000_000)
    body = (await client.get("/api/v1/health")).json()
    assert (body["status"], body["collector_running"]) == ("collector_stopped", False)
    page = (await client.get("/")).text
    assert "采集未运行，最后写入 11:59" in page
    assert "停采前正常" in page
    assert "contact-good" not in page
    (plant.folder.state / "devices.json").write_text("{half a")
    body = (await client.get("/api/v1/health")).json()
    assert (body["collector_at_us"], body["last_contact_us"]) == (None, None)


async def test_ratios_are_the_report_verbatim(client: httpx.AsyncClient, plant: Plant) -> None:
    report = json.loads((plant.folder.state / "report.json").read_text())
    body = (await client.get("/api/v1/ratios")).json()
    assert body["ratios"] == report["results"]
    assert body["as_of"] == {
        "origin": "simulated",
        "ledger_size": 5,
        "newest_seal_hour": "2026-11-22T03Z",
        "report_size": 5,
        "behind": False,
        "running": False,
        "problem": "",
    }


async def test_criteria_carry_article_words_threshold_and_verdict(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/criteria")).json()
    assert body["instrument"] == "GS25"
    found = {(c["id"], c["level"]): c for c in body["criteria"]}
    nc_rate = found["GS25-12-3-3h", "basic"]
    assert (nc_rate["article"], nc_rate["threshold"]) == ("第十二条(三)3", [60, 100])
    assert "60%以上" in nc_rate["quote"]
    assert nc_rate["verdict"]["verdict"] == "short"
    assert nc_rate["verdict"]["distance"] == 1
    assert {level for _, level in found} == {"scene", "basic", "advanced"}


async def test_devices_carry_their_last_outcome_and_95_days(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/devices")).json()
    devices = {d["id"]: d for d in body["devices"]}
    assert list(devices) == [d[0] for d in DEVICES]
    assert devices["INJ-15"]["last"]["outcome"] == "refused"
    assert devices["MAN-04"]["last"] is None
    assert len(devices["CNC-01"]["days"]) == 95
    assert devices["INJ-14"]["days"][-1]["day"] == "2026-11-22"


async def test_pack_downloads_whole_in_part_and_by_head(client: httpx.AsyncClient, plant: Plant) -> None:
    raw = (plant.folder.packs / PACK).read_bytes()
    listed = (await client.get("/api/v1/packs")).json()["packs"]
    assert [(p["name"], p["size_bytes"], p["demo"]) for p in listed] == [(PACK, len(raw), True)]
    whole = await client.get(listed[0]["href"])
    assert whole.content == raw
    assert whole.headers["content-length"] == str(len(raw))
    assert PACK in whole.headers["content-disposition"]
    part = await client.get(f"/api/v1/packs/{PACK}", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, raw[100:200])
    head = await client.head(f"/api/v1/packs/{PACK}")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(raw)))


@pytest.mark.parametrize(
    "name",
    [
        "nothing.zip",
        "..%2Fgenesis.json",
        "%2e%2e",
        "link.zip",
        "sub.zip",
        "PP-20261122-DEMO.zip%00",
        "x" * 200 + ".zip",
        ".zip",
    ],
)
async def test_what_is_not_a_pack_here_is_not_found(client: httpx.AsyncClient, plant: Plant, name: str) -> None:
    (plant.folder.packs / "link.zip").symlink_to(plant.folder.keys / "log.key")
    (plant.folder.packs / "sub.zip").mkdir()
    answer = await client.get(f"/api/v1/packs/{name}")
    assert answer.status_code in (404, 422)
    assert set(answer.json()["error"]) == {"code", "message", "where", "fix"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/static/../app.py", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("DELETE", f"/api/v1/packs/{PACK}", 405, "method_not_allowed"),
        ("PUT", "/api/v1/health", 405, "method_not_allowed"),
    ],
)
async def test_every_error_has_one_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "where", "fix"}
    assert error["code"] == code


async def test_a_bug_is_answered_without_its_details(
    app: FastAPI, client: httpx.AsyncClient, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("evidence_api.web.sources.list_packs", broken)
    answer = await client.get("/api/v1/packs")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "secret" not in answer.text


async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/", "/api/v1/health", "/static/plantproof.css", "/nowhere", f"/api/v1/packs/{PACK}"):
        headers = (await client.get(path)).headers
        assert {name: headers.get(name) for name in HEADERS} == HEADERS, path
        assert "cache-control" in headers
    assert "unsafe" not in HEADERS["content-security-policy"]


async def test_a_name_that_is_not_loopback_is_refused(app: FastAPI) -> None:
    for host in ("evil.example", "plant.local:8420", "127.0.0.1.evil.example", "10.0.0.5:8420"):
        async with browser(app, host) as client:
            answer = await client.get("/api/v1/ratios")
            assert answer.status_code == 421, host
            assert answer.json()["error"]["code"] == "host_refused"
    for host in ("localhost", "127.0.0.1:1", "[::1]:8420"):
        async with browser(app, host) as client:
            assert (await client.get("/api/v1/health")).status_code == 200, host


@pytest.mark.parametrize(
    "host", ["", "localhost.", "[::1", "[::1]x", "localhost:x", "127.1", "0.0.0.0", "localhost:80:80"]
)
def test_odd_spellings_of_loopback_are_not_believed(host: str) -> None:
    assert not is_loopback(host)


async def test_openapi_lists_each_path_once(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/openapi.json")).json()
    assert body["info"]["title"] == "PlantProof"
    assert sorted(body["paths"]) == [
        "/api/v1/criteria",
        "/api/v1/devices",
        "/api/v1/health",
        "/api/v1/packs",
        "/api/v1/packs/{name}",
        "/api/v1/ratios",
    ]
    assert all(set(methods) == {"get"} for methods in body["paths"].values())


async def test_reading_leaves_the_folder_as_it_was(client: httpx.AsyncClient, plant: Plant) -> None:
    def contents() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in plant.folder.path.rglob("*") if p.is_file()}

    before = contents()
    for path in (
        "/",
        "/api/v1/health",
        "/api/v1/criteria",
        "/api/v1/ratios",
        "/api/v1/devices",
        f"/api/v1/packs/{PACK}",
    ):
        assert (await client.get(path)).status_code == 200
    assert contents() == before


def test_the_web_process_loads_no_polars_pyarrow_or_numpy(plant: Plant) -> None:
    program = (
        "import sys; from pathlib import Path; from evidence_api.web import cli; from evidence_api.web.app import create_app\n"
        f"create_app(Path({str(plant.folder.path)!r}))\n"
        "print([m for m in ('polars', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
