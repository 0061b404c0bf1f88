"""The command line, and what runs behind it, as real processes."""
