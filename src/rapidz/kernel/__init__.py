"""Floor 1: the graph and how it runs. Knows no operator."""
