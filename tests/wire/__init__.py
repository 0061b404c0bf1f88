"""The wire, sans-IO: frames, messages, handshake and close codes against independent implementations."""
