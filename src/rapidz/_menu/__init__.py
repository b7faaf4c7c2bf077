"""Operator menu: the typed methods of `Stream`, for type checkers and editors."""
