"""Operator menu: the methods of `Stream` as type checkers and editors see them, by family."""
