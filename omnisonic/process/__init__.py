"""What a process does to itself: priority, limits, sandbox, its end with the parent."""
