"""MQTT sensors to alert: send a request when a sensor becomes hot, and again when it is normal.

Run it as ``rapidz run mqtt_to_alert.py:main -- localhost 1883 https://alerts.example.org/hook``.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import rapidz
from rapidz import SKIP, Restart, Stream

HOT = 90.0


class Reading(NamedTuple):
    sensor: str
    celsius: float


def pipeline(host: str, port: int, hook: str) -> Stream[Any]:
    # By QoS 1 and an identifier, the broker keeps messages until they are processed.
    messages = Stream.from_mqtt(host, port, "sensors/+/celsius", qos=1, client_id="alerts")
    readings = messages.map(parse).on_error("skip")
    changes = readings.accumulate(note_change, start={}, returns_state=True)
    changes.to_http(hook, codec="json", restart=Restart(at_start=True))
    return messages


def parse(message: Any) -> Reading:
    return Reading(message.topic.split("/")[1], float(message.payload))


def note_change(hot: dict[str, bool], reading: Reading) -> tuple[dict[str, bool], Any]:
    """Return what is known of all sensors, and an alert if this one has changed."""
    is_hot = reading.celsius >= HOT
    if hot.get(reading.sensor, False) == is_hot:
        return hot, SKIP
    alert = {"sensor": reading.sensor, "celsius": reading.celsius, "hot": is_hot}
    return {**hot, reading.sensor: is_hot}, alert


def main() -> Stream[Any]:
    host, port, hook = sys.argv[1:]
    return pipeline(host, int(port), hook)


if __name__ == "__main__":
    rapidz.run(main())
