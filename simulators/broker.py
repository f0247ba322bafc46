"""The MQTT broker of the demo, inside the simulator's process: amqtt on 127.0.0.1 (docs/adr/0002-embedded-broker.md).

In: a port (0: any). Out: `Broker`, started and stopped by its owner. Anonymous, QoS 1, retained messages, no disk.
For the demo and for tests that need no real broker. Plants and the protocol tests use mosquitto: amqtt drops a message whose
PUBACK does not come within 5 s, and keeps no session of an anonymous client.
"""

from __future__ import annotations

import logging

from amqtt.broker import Broker as AmqttBroker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType

ANONYMOUS = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


class Broker:
    """One amqtt broker."""

    def __init__(self, *, port: int = 0) -> None:
        self._port = port
        self._broker: AmqttBroker | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    async def start(self) -> None:
        """Listen on 127.0.0.1."""
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.ERROR)  # one line per packet otherwise
        listener = ListenerConfig(type=ListenerType.TCP, bind=f"127.0.0.1:{self._port}")
        self._broker = AmqttBroker(BrokerConfig(listeners={"default": listener}, plugins=dict(ANONYMOUS)))
        await self._broker.start()
        if not self._port:
            server = self._broker._servers["default"].instance  # amqtt names no public way to the ephemeral port
            self._port = int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every session; nothing is kept."""
        if self._broker is not None:
            await self._broker.shutdown()
            self._broker = None
