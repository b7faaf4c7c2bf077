"""Windows of event time: tumbling, sliding, session, and what they emit."""
