"""The client (SPEC 8): one member in one room, from a trio program, with automatic reconnection and recovery.

`membership` and `rooms` are the public part: `connect` and `ClientRoom`, of which `sharing` is the part for what the
members share. `reconnector` is the one task that reads and reconnects. It opens each connection with `connection`, and
applies what arrives with `dispatch`: to `roster`, `shared_state`, `pending_requests`, and to `inbox`, which holds the
messages that the program has not read yet. `reconnect_policy` decides when to reconnect.
"""
