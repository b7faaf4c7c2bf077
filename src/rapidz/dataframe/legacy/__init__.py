"""Compatibility: aggregations as the older libraries had them."""
