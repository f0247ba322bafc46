"""node-opcua servers that show machines (tests/servers/opcua_companion_server.js), for a whole test module; registers out of browses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from config.load import parse_register
from config.register import Register
from tests.adapters.plant import free_port
from tests.adapters.stacks import FOLDER

HEAD = 'format = "plantproof-register/1"\n[[line]]\nid = "L1"\nname = "产线"\n'


@contextmanager
def machine_server(*arguments: str) -> Iterator[str]:
    """The endpoint of a running server. Skipped without node and its modules, an error when required."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules").is_dir():
        if os.environ.get("PLANTPROOF_REQUIRE") == "all":
            raise RuntimeError("expected node and tests/servers/node_modules: npm ci --prefix tests/servers")
        pytest.skip("node or tests/servers/node_modules is missing: npm ci --prefix tests/servers")
    port = free_port()
    with tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(
            [node, FOLDER / "opcua_companion_server.js", str(port), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=talk,
        )
        with process:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, b"")
            line = next((found for found in lines if found.startswith(b"{")), b"")
            if not line:
                talk.seek(0)
                raise RuntimeError(f"expected a port, found {talk.read().decode()[-500:]}")
            assert json.loads(line)["port"] == port
            try:
                yield f"opc.tcp://127.0.0.1:{port}"
            finally:
                process.kill()


def pasted(points: str) -> Register:
    """A register with the proposed text in it: what a person does after reviewing."""
    return parse_register(tomllib.loads(HEAD + points), "pasted")


def points_of(register: Register, device: str) -> dict[str, Any]:
    """Point name -> point, of a device."""
    return {p.name: p for p in register.point_set[register.device[device].points or ""].points}
