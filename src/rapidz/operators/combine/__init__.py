"""Operators with several inputs and one output."""

from rapidz.operators.combine.combine_latest import combine_latest
from rapidz.operators.combine.union import union
from rapidz.operators.combine.zip import zip
from rapidz.operators.combine.zip_latest import zip_latest

__all__ = ["combine_latest", "union", "zip", "zip_latest"]
