"""The intake process: a watched folder, and MQTT messages that are acknowledged only when they are durable."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest

import collector.intake.inbox as box
from adapters.mqtt.link import BrokerLink
from collector.intake import follow
from collector.intake.follow import Intake, receive
from collector.record_revisions import imports
from collector.revisions import record_frames
from config.errors import ConfigError
from config.load import parse_settings
from config.settings import RecordsMqtt, RecordsTable
from tests.adapters.brokers import Mosquitto
from tests.collector.intake.plant import GOOD, RecordsPlant

PLANT_TABLE = '[plant]\nname = "厂"\ncredit_code = "91620100MA0000000X"\n'


@pytest.fixture
def plant(tmp_path: Path) -> RecordsPlant:
    return RecordsPlant(tmp_path)


@pytest.fixture
def watch(tmp_path: Path) -> Path:
    place = tmp_path / "mes"
    place.mkdir()
    return place


def test_a_file_is_taken_when_it_lies_still_and_moved_never_deleted(plant: RecordsPlant, watch: Path) -> None:
    intake = Intake(plant.folder, RecordsTable(watch=watch), plant.clock)
    file = watch / "batches.csv"
    file.write_text(GOOD["batches.csv"][:40], encoding="utf-8")
    assert intake.look(0.0) == 0
    file.write_text(GOOD["batches.csv"], encoding="utf-8")  # it is still being written
    os.utime(file, ns=(1, 1))
    assert [intake.look(s) for s in (2.5, 4.0, 5.0)] == [0, 0, 1]
    assert not file.exists()
    assert (watch / "已导入/batches.csv").read_text(encoding="utf-8") == GOOD["batches.csv"]
    assert "导入 2" in (watch / "已导入/batches.csv.txt").read_text(encoding="utf-8")
    assert imports(plant.folder)[0].actor == "intake"


def test_a_file_with_a_problem_lies_aside_with_the_reason_beside_it(plant: RecordsPlant, watch: Path) -> None:
    intake = Intake(plant.folder, RecordsTable(watch=watch), plant.clock)
    (watch / "lots.csv").write_text(GOOD["lots.csv"], encoding="utf-8")
    (watch / "批次.csv").write_text("什么,都,不是\n1,2,3\n", encoding="utf-8")
    (watch / "~$批次.xlsx").write_bytes(b"an Excel lock file")
    (watch / "读我.txt").write_text("no records", encoding="utf-8")
    (watch / "link.csv").symlink_to("/etc/passwd")
    intake.look(0.0)
    assert intake.look(3.0) == 2
    assert "没有这个批次 B01" in (watch / "有问题/lots.csv.txt").read_text(encoding="utf-8")
    assert "找不到“批次”的表头" in (watch / "有问题/批次.csv.txt").read_text(encoding="utf-8")
    assert sorted(p.name for p in watch.iterdir()) == sorted(["有问题", "~$批次.xlsx", "读我.txt", "link.csv"])


def test_a_file_that_was_imported_but_not_moved_is_recognised(plant: RecordsPlant, watch: Path) -> None:
    plant.csv(("batches.csv", GOOD["batches.csv"]))
    (watch / "batches.csv").write_text(GOOD["batches.csv"], encoding="utf-8")
    (watch / "已导入").mkdir()
    (watch / "已导入/batches.csv").write_text("an older one", encoding="utf-8")
    intake = Intake(plant.folder, RecordsTable(watch=watch), plant.clock)
    intake.look(0.0)
    intake.look(3.0)
    assert len(imports(plant.folder)) == 1
    assert "导入 2" in (watch / "已导入/batches-2.csv.txt").read_text(encoding="utf-8")


def test_without_a_register_everything_waits(tmp_path: Path) -> None:
    plant = RecordsPlant(tmp_path, register=False)
    inbox = box.inbox_of(plant.folder.records)
    box.put(inbox, box.Waiting(box.id_of("key"), "csv", "batches", "x", "rest", GOOD["batches.csv"].encode()))
    assert Intake(plant.folder, RecordsTable(), plant.clock).look(0.0) == 0
    assert len(box.waiting(inbox, "rest")) == 1


def test_messages_wait_for_company_and_one_that_is_refused_does_not_keep_others_out(plant: RecordsPlant) -> None:
    inbox = box.inbox_of(plant.folder.records)
    rows = [{"batch_id": "B1", "product": "轴", "trial": False}]
    bodies = [json.dumps({"kind": "batches", "rows": rows}), "{half", json.dumps({"kind": "nothing", "rows": []})]
    for i, body in enumerate(bodies):
        box.put(inbox, box.Waiting(box.id_of(str(i)), "json", "", "mes/records", "mqtt", body.encode()))
    assert Intake(plant.folder, RecordsTable(gather_s=60), plant.clock).look(0.0) == 0
    for path in inbox.glob("*.json"):
        os.utime(path, (0, 0))
    assert Intake(plant.folder, RecordsTable(gather_s=60), plant.clock).look(0.0) == 3
    assert record_frames(plant.folder).frame("batches").height == 1
    assert len(list((inbox / "refused").glob("*.why.json"))) == 2
    assert not box.waiting(inbox, "mqtt")


async def test_a_message_is_acknowledged_when_it_is_durable_and_comes_again_when_it_was_not(
    plant: RecordsPlant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = json.dumps({"kind": "batches", "rows": [{"batch_id": "B1", "product": "轴", "trial": 0}]}).encode()
    inbox = box.inbox_of(plant.folder.records)
    async with Mosquitto(tmp_path) as broker:
        settings = RecordsMqtt(broker=f"mqtt://127.0.0.1:{broker.port}", topic="mes/#", client_id="records-test")

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(follow, "_store", full)
        with pytest.raises(ExceptionGroup) as ended:
            await _receive_one(plant, settings, payload)
        assert ended.group_contains(OSError)
        assert not box.waiting(inbox, "mqtt")
        monkeypatch.undo()
        receiving = asyncio.create_task(receive(plant.folder, settings))
        async with asyncio.timeout(20):
            while not box.waiting(inbox, "mqtt"):  # noqa: ASYNC110 - a thread writes it
                await asyncio.sleep(0.02)
        receiving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await receiving
    assert [(w.name, w.body) for w in box.waiting(inbox, "mqtt")] == [("mes/records", payload)]
    Intake(plant.folder, RecordsTable(gather_s=1), plant.clock)
    os.utime(next(inbox.glob("*.json")), (0, 0))
    Intake(plant.folder, RecordsTable(), plant.clock).look(0.0)
    assert record_frames(plant.folder).frame("batches")["batch_id"].to_list() == ["B1"]


async def _receive_one(plant: RecordsPlant, settings: RecordsMqtt, payload: bytes) -> None:
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(receive(plant.folder, settings))
        group.create_task(_publish(settings, payload))


async def _publish(settings: RecordsMqtt, payload: bytes) -> None:
    link = BrokerLink(settings.connection, lambda _: None, may_publish=["mes/records"])
    await link.open("mes-test", clean=True)
    await asyncio.sleep(0.5)  # the receiver's session must be there first
    await link.publish("mes/records", payload, 1)
    await link.close()


def test_settings_say_where_records_come_from() -> None:
    text = PLANT_TABLE + '[records]\nwatch = "/srv/mes"\n[records.mqtt]\nbroker = "mqtts://10.0.0.5"\ntopic = "mes/#"\n'
    found = parse_settings(text, "x").records
    assert found is not None
    assert found.mqtt is not None
    assert (found.mqtt.connection.qos, found.poll_s) == (1, 2)
    assert parse_settings(PLANT_TABLE, "x").records is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('broker = "10.0.0.5"', "broker"),
        ('broker = "mqtt://h"\npassword = "secret"', "password"),
        ('broker = "mqtt://h:99999"', "1-65535"),
    ],
)
def test_settings_of_a_broker_that_cannot_be_are_refused(line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_settings(PLANT_TABLE + f'[records.mqtt]\ntopic = "mes/#"\n{line}\n', "x")
