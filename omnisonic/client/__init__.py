"""The client (SPEC 8): one member in one room, from a trio program, with automatic reconnection.

`rooms` is the public part: `connect` and `ClientRoom`. `reconnector` is the one task that reads and reconnects. It
opens each connection with `connection`, and applies what arrives with `dispatch`. `reconnect_policy` decides when to
reconnect; `inbox` holds the messages that the program has not read yet.
"""
