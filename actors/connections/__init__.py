"""One client's socket: reading, sending, rate limit, keepalive."""
