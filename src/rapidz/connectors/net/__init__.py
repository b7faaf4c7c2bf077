"""Sockets and protocols that several connectors share."""
