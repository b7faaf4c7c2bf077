"""Graph layer: nodes, edges, pipelines, signals and shutdown."""
