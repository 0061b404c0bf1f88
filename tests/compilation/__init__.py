"""The compiled build: what belongs to it, and when it runs."""
