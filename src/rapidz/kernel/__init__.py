"""Kernel layer: the graph and how it runs; knows no operator."""
