"""NATS and JetStream: publish and subscribe, and streams with acknowledgement."""

from rapidz.connectors.nats.jetstream import from_jetstream
from rapidz.connectors.nats.sinks import to_jetstream, to_nats
from rapidz.connectors.nats.subjects import from_nats

__all__ = ["from_jetstream", "from_nats", "to_jetstream", "to_nats"]
