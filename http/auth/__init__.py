"""Signing in and out, sign-in providers, and the current user."""
