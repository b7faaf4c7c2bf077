"""Floor 3: where elements leave the pipeline."""

from rapidz.sinks.base import Sink, _global_sinks, sink, sink_to_list, starsink

__all__ = ["Sink", "sink", "sink_to_list", "starsink"]
_ = _global_sinks
