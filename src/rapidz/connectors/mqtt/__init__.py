"""MQTT: messages of topics, acknowledged when they are done."""

from rapidz.connectors.mqtt.options import MqttRejectedError
from rapidz.connectors.mqtt.sink import to_mqtt
from rapidz.connectors.mqtt.source import from_mqtt

__all__ = ["MqttRejectedError", "from_mqtt", "to_mqtt"]
