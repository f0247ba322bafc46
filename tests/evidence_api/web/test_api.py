"""`/api/v1`: same integers as the report, one error shape, downloads, and who may ask."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import httpx
import pytest
from fastapi import FastAPI

from evidence_api.web.security import HEADERS, is_loopback
from metrics.report_json import only_level, report_bytes
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
    report = json.loads((plant.folder.state / "reports" / "CN-GS" / "GS25.json").read_text())
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
    assert (body["instrument"], body["standing"]) == ("CN-GS/GS25", "binding")
    found = {c["id"]: c for c in body["criteria"]}
    nc_rate = found["GS25-12-3-3h"]
    assert (nc_rate["article"], nc_rate["threshold"], nc_rate["levels"]) == ("第十二条(三)3", [60, 100], ["basic"])
    assert "60%以上" in nc_rate["quote"]
    assert nc_rate["required"] == "关键工序数控化率 ≥ 60 %，每条代表产线"
    assert nc_rate["verdict"]["verdict"] == "short"
    assert (nc_rate["verdict"]["distance"], nc_rate["verdict"]["needs"][0][:2]) == (1, ["X2", "设备2"])
    other = (await client.get("/api/v1/criteria?rules=SD22")).json()
    assert other["name"].endswith("（已于 2025-12-31 失效）")
    assert {c["id"].partition("-")[0] for c in other["criteria"]} == {"SD22"}


async def test_instruments_say_their_standing_levels_and_digest(client: httpx.AsyncClient) -> None:
    rows = (await client.get("/api/v1/instruments")).json()["instruments"]
    assert [(r["id"], r["standing"]) for r in rows] == [
        ("CN-GS/GS25", "binding"),
        ("CN-SD/SD22", "expired"),
        ("CN-SD/SD25", "draft"),
        ("CN-TJ/TJ", "binding"),
    ]
    assert "征求意见稿" in rows[2]["name"]
    assert [level["id"] for level in rows[1]["levels"]] == ["scene", "workshop", "factory_2022"]
    assert all(re.fullmatch("[0-9a-f]{64}", r["sha256"]) for r in rows)
    for row in rows:
        assert (await client.get(row["href"])).json()["instrument"]["id"] == row["id"]


async def test_a_report_is_the_bytes_that_check_wrote(client: httpx.AsyncClient, plant: Plant) -> None:
    for name in ("CN-GS/GS25", "CN-SD/SD25"):
        answer = await client.get(f"/api/v1/reports/{name}")
        assert answer.content == (plant.folder.state / "reports" / f"{name}.json").read_bytes()
        assert answer.headers["content-type"] == "application/json"
    whole = json.loads((plant.folder.state / "reports" / "CN-GS" / "GS25.json").read_bytes())
    part = await client.get("/api/v1/reports/CN-GS/GS25?level=basic")
    assert part.content == report_bytes(only_level(whole, "basic"))
    assert [level["id"] for level in part.json()["levels"]] == ["basic"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v1/reports/CN-GS/NONE", "no_such_instrument"),
        ("/api/v1/reports/CN/ELEMENTS25", "no_such_instrument"),
        ("/api/v1/reports/%2e%2e/index", "no_such_instrument"),
        ("/api/v1/reports/CN-GS/GS25?level=gold", "no_such_level"),
        ("/api/v1/criteria?rules=NONE", "no_such_instrument"),
        ("/api/v1/ratios?rules=NONE", "no_such_instrument"),
        ("/?rules=NONE", "no_such_instrument"),
    ],
)
async def test_what_was_not_judged_is_not_found(client: httpx.AsyncClient, path: str, code: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] in (code, "not_found")


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
    reading = {path: methods for path, methods in body["paths"].items() if not path.startswith("/api/v1/records")}
    assert sorted(reading) == [
        "/api/v1/criteria",
        "/api/v1/deadlines",
        "/api/v1/deadlines.ics",
        "/api/v1/devices",
        "/api/v1/findings",
        "/api/v1/health",
        "/api/v1/instruments",
        "/api/v1/packs",
        "/api/v1/packs/{name}",
        "/api/v1/ratios",
        "/api/v1/reports/{province}/{instrument}",
    ]
    assert all(set(methods) == {"get"} for methods in reading.values())


async def test_reading_leaves_the_folder_as_it_was(client: httpx.AsyncClient, plant: Plant) -> None:
    def contents() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in plant.folder.path.rglob("*") if p.is_file()}

    before = contents()
    for path in (
        "/",
        "/api/v1/health",
        "/api/v1/criteria",
        "/api/v1/ratios",
        "/api/v1/instruments",
        "/api/v1/reports/CN-TJ/TJ?level=basic",
        "/?rules=SD22",
        "/api/v1/deadlines?rules=SD22",
        "/api/v1/deadlines.ics",
        "/api/v1/findings",
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
