"""Operators with several inputs and one output."""

from rapidz.operators.combine.latest import combine_latest
from rapidz.operators.combine.lossless import zip_latest
from rapidz.operators.combine.merge import union
from rapidz.operators.combine.pairing import zip

__all__ = ["combine_latest", "union", "zip", "zip_latest"]
