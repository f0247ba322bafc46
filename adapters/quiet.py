"""The protocol libraries log each failed attempt; we log a device once down and once back (adapters/health.py).

In: nothing. Out: their loggers silent.
"""

from __future__ import annotations

import logging

_LIBRARIES = ("pymodbus", "asyncua", "paho")


def quiet_libraries() -> None:
    """Silence the libraries' own loggers."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
