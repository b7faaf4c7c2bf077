"""Runtime layer: event loops, tasks, queues, mutual exclusion, failures."""
