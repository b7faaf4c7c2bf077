"""Protocol layer: nodes, pushes, argument checks and time; imports no other layer."""
