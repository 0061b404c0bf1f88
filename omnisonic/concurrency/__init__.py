"""Threads, event loops and cancellation."""
