"""The line by MQTT: TOPIC/result, TOPIC/state (retained, with a last will), TOPIC/heartbeat, and TOPIC/trigger from
it."""

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from .result import Result

LEAST_ONCE = 1  # quality of service: a message may come twice, and never gets lost while the server lives


class Mqtt:
    """A client of a broker: mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC. It connects again whenever the broker is back."""

    def __init__(self, address: str, announce: Callable[[int], None]):
        try:
            mqtt = import_module("paho.mqtt.client")
        except ImportError:
            raise ValueError("MQTT needs one more package: pip install 'zansa[line]'") from None
        parts = urlsplit(address)
        if parts.scheme != "mqtt" or not parts.hostname or not parts.path.strip("/"):
            raise ValueError(f"{address} is no broker with a topic; needed is mqtt://HOST:1883/line1/camera2")
        self.host, self.port, self.topic = parts.hostname, parts.port or 1883, parts.path.strip("/")
        self.announce = announce
        self.client: Any = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        if parts.username:
            self.client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        self.client.will_set(f"{self.topic}/state", "offline", LEAST_ONCE, retain=True)
        self.client.on_connect, self.client.on_message = self._connected, self._came
        self.client.reconnect_delay_set(1, 10)
        self.client.max_queued_messages_set(1000)  # while the broker is away

    def start(self) -> None:
        """Connect, now or as soon as the broker is there."""
        self.client.connect_async(self.host, self.port, keepalive=10)
        self.client.loop_start()

    def stop(self) -> None:
        """Say that nothing more comes, and go."""
        self.client.publish(f"{self.topic}/state", "offline", LEAST_ONCE, retain=True)
        self.client.disconnect()
        self.client.loop_stop()

    def show(self, result: Result) -> None:
        """Publish a result; a part that only waits is told by its state."""
        if result.valid:
            told = {"part": result.number, "decision": result.decision, "valid": True, "reason": result.reason}
            text = json.dumps(told | dict(result.told), ensure_ascii=False)
            self.client.publish(f"{self.topic}/result", text, LEAST_ONCE)

    def beat(self, number: int) -> None:
        """Publish the heartbeat."""
        self.client.publish(f"{self.topic}/heartbeat", str(number), 0)

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        client.subscribe(f"{self.topic}/trigger", LEAST_ONCE)
        client.publish(f"{self.topic}/state", "online", LEAST_ONCE, retain=True)

    def _came(self, client: Any, data: Any, message: Any) -> None:
        text = message.payload.decode("ascii", "replace").strip()
        if text.isdigit() and int(text) < 2**32 and not message.retain:
            self.announce(int(text))
