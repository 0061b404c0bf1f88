"""What one process does to itself."""
