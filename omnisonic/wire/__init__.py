"""The realtime wire, sans-IO: frames, messages, handshake and close codes. Nothing here knows a socket or a clock."""
