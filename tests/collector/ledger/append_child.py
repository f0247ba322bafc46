"""A process that appends entries to a ledger, a few at a time: what the test of concurrent appenders starts several of."""

from __future__ import annotations

import sys
from pathlib import Path

from collector.ledger import log
from collector.ledger.entry import Entry

if __name__ == "__main__":
    ledger, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    for i in range(count):
        log.append(ledger, [Entry("document", i, name, {"i": i, "half": h}) for h in (0, 1)], b"\x01" * 32)
