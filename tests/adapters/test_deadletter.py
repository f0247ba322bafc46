"""Dead letters: kept with their reason, bounded in bytes, number and files; a disk that takes none stops nothing."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import plantproof
from adapters import deadletter
from adapters.deadletter import DeadLetters, Letter, read_letters

NOW_US = 1_795_309_323_456_000


def letter(k: int = 0, payload: bytes = b"\xff rubbish") -> Letter:
    return Letter(f"plant/{k}", payload, len(payload), "报文不是 JSON", ("m1",))


def test_a_letter_has_its_time_topic_reason_and_first_bytes(tmp_path: Path) -> None:
    DeadLetters(tmp_path, "mqtt-127.0.0.1:1883").add([letter(payload=b"x" * 10_000)], NOW_US)
    (found,) = read_letters(tmp_path)
    assert found["at"] == "2026-11-22T01:02:03.456+00:00"
    assert (found["connection"], found["devices"], found["topic"]) == ("mqtt-127.0.0.1_1883", ["m1"], "plant/0")
    assert (found["why"], found["size"]) == ("报文不是 JSON", 10_000)
    assert base64.b64decode(found["payload"]) == b"x" * deadletter.KEPT_BYTES


def test_a_flood_is_bounded_and_what_was_left_out_is_counted_in_the_next_line(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "mqtt")
    letters.add([letter(k) for k in range(1000)], NOW_US)
    letters.add([letter(1000)], NOW_US + 1)
    letters.add([letter(1001)], NOW_US + 60_000_000)
    found = list(read_letters(tmp_path))
    assert len(found) == deadletter.LETTERS_A_MINUTE + 1
    assert found[-1]["topic"] == "plant/1001"
    assert found[-1]["skipped_before"] == 1001 - deadletter.LETTERS_A_MINUTE


def test_files_rotate_and_are_read_oldest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadletter, "FILE_BYTES", 1000)
    letters = DeadLetters(tmp_path, "mqtt")
    for k in range(30):
        letters.add([letter(k)], NOW_US)
    files = sorted((tmp_path / "dead-letter").iterdir())
    assert [f.name for f in files] == ["mqtt.1.jsonl", "mqtt.jsonl"]
    assert sum(f.stat().st_size for f in files) <= 2000
    numbers = [int(body["topic"].removeprefix("plant/")) for body in read_letters(tmp_path)]
    assert numbers == list(range(numbers[0], 30))


def test_a_line_cut_short_is_passed_over(tmp_path: Path) -> None:
    DeadLetters(tmp_path, "mqtt").add([letter(1)], NOW_US)
    with (tmp_path / "dead-letter" / "mqtt.jsonl").open("a") as out:
        out.write(json.dumps({"topic": "cut"})[:-3])
    assert [body["topic"] for body in read_letters(tmp_path)] == ["plant/1"]


def test_no_folder_and_a_folder_that_cannot_be_written_stop_nothing(tmp_path: Path) -> None:
    DeadLetters(None, "mqtt").add([letter()], NOW_US)
    (tmp_path / "dead-letter").write_text("a file where the folder should be")
    letters = DeadLetters(tmp_path, "mqtt")
    letters.add([letter()], NOW_US)
    letters.add([letter()], NOW_US)


def test_a_topic_with_what_unicode_calls_a_line_end_is_one_letter(tmp_path: Path) -> None:
    strange = "plant/\u2028\x85\u2029m1"
    DeadLetters(tmp_path, "mqtt").add([Letter(strange, b"", 0, "x")], NOW_US)
    assert [body["topic"] for body in read_letters(tmp_path)] == [strange]


def test_what_a_stranger_wrote_brings_no_escape_sequence_to_the_terminal(tmp_path: Path) -> None:
    bad = "\x1b]0;owned\x07\x9b2J"
    DeadLetters(tmp_path / "state", "mqtt").add([Letter(f"t/{bad}", bad.encode(), 14, bad)], NOW_US)
    told = CliRunner().invoke(plantproof.app, ["mqtt", "dead-letters", "--data", str(tmp_path)])
    assert told.exit_code == 0
    assert "owned" in told.output
    assert all(c.isprintable() or c == "\n" for c in told.output)
