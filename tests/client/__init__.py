"""The client (SPEC 8)."""
