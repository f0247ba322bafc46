"""Records golden Sparkplug payloads of npm sparkplug-client: `python tests/golden/record_sparkplug.py` (needs mosquitto and node modules).

Out: tests/golden/sparkplug-client.json: the messages as topic and hex, and what the edge node says it sent.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


async def main() -> None:
    from tests.adapters.plant import MqttWire, Recorder, free_port
    from tests.adapters.test_sparkplug import Spy
    from tests.adapters.test_sparkplug_npm import NpmEdge

    parts = []
    for compress in ("", "GZIP"):
        broker, port = MqttWire(), free_port()
        broker.repeat = False
        await broker.start(port)
        spy = Spy(port)
        await asyncio.sleep(0.5)
        async with NpmEdge(port, compress) as edge:
            await edge.tell(data={"device": "a", "count": 2})
            await edge.tell(deathOf="b")
            await Recorder().until(lambda heard=spy.heard: any("DDEATH" in topic for topic, *_ in heard), "the death")
        spy.stop()
        await broker.stop()
        messages = [[topic, payload.hex()] for topic, payload, _ in spy.heard]
        parts.append({"compress": compress, "messages": messages, "sent": edge.sent})
    body = {"from": "sparkplug-client 3.2.4, sparkplug-payload 1.0.3", "parts": parts}
    text = json.dumps(body, indent=1, ensure_ascii=False) + "\n"
    (Path(__file__).parent / "sparkplug-client.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
