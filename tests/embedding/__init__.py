"""The library in other people's programs (SPEC 8)."""
