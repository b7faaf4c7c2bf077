"""Protocol layer: how nodes are described and speak to each other; knows no other layer."""
