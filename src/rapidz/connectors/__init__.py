"""Connectors: sources and sinks for files, sockets, message brokers and databases."""

from __future__ import annotations

#: Name of each connector → the module of this package that defines it.
#: A module, and the client library that it needs, is imported at the first call.
CONNECTORS = {
    # files
    "from_csv": "files",
    "from_jsonlines": "files",
    "from_parquet": "files",
    "to_csv": "files",
    "to_jsonlines": "files",
    "to_parquet": "files",
    "to_textfile": "files",
    # sockets, the web, processes
    "from_tcp": "tcp",
    "to_tcp": "tcp",
    "from_http_server": "http_server",
    "from_http": "http",
    "to_http": "http",
    "from_sse": "sse",
    "from_websocket": "websocket",
    "from_websocket_client": "websocket",
    "to_websocket": "websocket",
    "from_process": "process",
    # message brokers
    "from_kafka": "kafka",
    "from_kafka_batched": "kafka",
    "to_kafka": "kafka",
    "from_mqtt": "mqtt",
    "to_mqtt": "mqtt",
    "from_redis_stream": "redis",
    "from_redis_list": "redis",
    "from_redis_pubsub": "redis",
    "to_redis_stream": "redis",
    "to_redis_list": "redis",
    "to_redis_pubsub": "redis",
    "from_nats": "nats",
    "from_jetstream": "nats",
    "to_nats": "nats",
    "to_jetstream": "nats",
    # databases
    "from_sql": "sql",
    "to_sql": "sql",
}
