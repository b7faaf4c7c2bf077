"""Redis: streams with consumer groups, lists as reliable queues, publish and subscribe."""

from rapidz.connectors.redis.lists import from_redis_list
from rapidz.connectors.redis.pubsub import RedisMessage, from_redis_pubsub
from rapidz.connectors.redis.sinks import to_redis_list, to_redis_pubsub, to_redis_stream
from rapidz.connectors.redis.streams import RedisEntry, from_redis_stream

__all__ = [
    "RedisEntry",
    "RedisMessage",
    "from_redis_list",
    "from_redis_pubsub",
    "from_redis_stream",
    "to_redis_list",
    "to_redis_pubsub",
    "to_redis_stream",
]
