"""Connectors: sources and sinks for files, sockets, brokers and databases; one module for each."""
