"""Keyed lanes: keyed operators on workers, each lane with the state of its own keys."""
