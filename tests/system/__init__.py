"""System tests: the product as processes, from the outside; and what its documents say about it."""
