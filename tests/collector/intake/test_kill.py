"""kill -9 of an import, of the intake process and of a document being added, between any two of their steps: the old state or the new,
once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import collector.documents
import collector.intake.imports as importing
import collector.intake.inbox as box
from collector.audit import audit
from collector.documents import Statement, add_document
from collector.folder import DataFolder
from collector.intake import queue
from collector.intake.inbox import Waiting
from collector.intake.known import Known
from collector.record_revisions import imports
from collector.revisions import documents, record_frames
from tests.collector.intake.plant import GOOD, RecordsPlant

STEPS: list[tuple[Any, str, int]] = [
    *((importing, "write_durably", n) for n in (1, 4, 5, 8)),
    *((Path, "rename", n) for n in (1, 9)),
    (importing, "fsync_folder", 1),
    (DataFolder, "append", 1),
]


def dies(where: Any, name: str, nth: int, after: bool, act: Callable[[], object]) -> bool:
    """Do it in a child that is killed before or after the n-th call; True when it died there."""
    pid = os.fork()
    if pid == 0:
        try:
            real, count = getattr(where, name), [0]

            def deadly(*args: Any, **kwargs: Any) -> Any:
                count[0] += 1
                if count[0] == nth and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                found = real(*args, **kwargs)
                if count[0] == nth:
                    os.kill(os.getpid(), signal.SIGKILL)
                return found

            setattr(where, name, deadly)
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("where", "name", "nth"), STEPS)
def test_an_import_that_dies_leaves_the_old_state_or_the_new(
    tmp_path: Path, where: Any, name: str, nth: int, after: bool
) -> None:
    plant = RecordsPlant(tmp_path)
    plant.csv(("batches.csv", GOOD["batches.csv"]))
    assert dies(where, name, nth, after, plant.good)
    done = len(imports(plant.folder)) == 2
    assert done == ((name, after) == ("append", True))
    frames = record_frames(plant.folder)
    assert frames.frame("batches").height == 2
    assert frames.frame("lots").height == (2 if done else 0)
    assert plant.good().total("quarantined") == 0
    assert [r.rev for r in imports(plant.folder)] == [1, 2]
    assert record_frames(plant.folder).frame("lots").height == 2
    assert audit(plant.folder.path).sound


@pytest.mark.parametrize(
    ("where", "name", "after"),
    [
        (queue, "import_deliveries", False),
        (DataFolder, "append", False),
        (DataFolder, "append", True),
        (queue, "answer_of", False),
        (box, "write_durably", False),
        (box, "write_durably", True),
        (Path, "unlink", False),
        (box, "fsync_folder", False),
    ],
)
def test_a_delivery_in_the_inbox_is_imported_exactly_once_and_answered_the_same(
    tmp_path: Path, where: Any, name: str, after: bool
) -> None:
    plant = RecordsPlant(tmp_path)
    inbox = box.inbox_of(plant.folder.records)
    one = Waiting(box.id_of("key-00001"), "csv", "batches", "batches key", "rest", GOOD["batches.csv"].encode())
    box.put(inbox, one)

    def import_() -> int:
        return queue.import_waiting(plant.folder, plant.clock, Known(plant.folder), 0)

    assert dies(where, name, 1, after, import_)
    import_()
    import_()
    assert [r.rev for r in imports(plant.folder)] == [1]
    answer = box.answered(inbox, one.id)
    assert answer is not None
    assert (answer["revision"], answer["accepted"], answer["duplicates"]) == (1, 2, 0)
    assert not box.waiting(inbox, "rest")
    assert record_frames(plant.folder).frame("batches").height == 2


@pytest.mark.parametrize(
    ("where", "name", "after"),
    [
        (collector.documents, "write_durably", False),
        (collector.documents, "write_durably", True),
        (DataFolder, "append", True),
    ],
)
def test_a_document_is_there_with_its_leaf_or_not_at_all(tmp_path: Path, where: Any, name: str, after: bool) -> None:
    plant = RecordsPlant(tmp_path)
    file = tmp_path / "report.pdf"
    file.write_bytes(b"%PDF maturity")

    def add() -> object:
        return add_document(plant.folder, file, Statement("maturity", "自评估报告"), clock=plant.clock, actor="t")

    assert dies(where, name, 1, after, add)
    assert len(documents(plant.folder)) == (name == "append")
    add()
    assert len(documents(plant.folder)) == 1
    assert not collector.documents.damaged(plant.folder)
