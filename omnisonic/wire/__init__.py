"""The realtime protocol, sans-IO: frames, messages, handshake and close codes. No sockets, no clock, no tasks."""
