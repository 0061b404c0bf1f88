"""Signing in and out, the providers, and who is calling."""
