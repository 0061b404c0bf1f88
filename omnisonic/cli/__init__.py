"""The command line: the one place that reads the environment and builds processes out of the parts (SPEC 1)."""
