"""The client (SPEC 8): one member in one room, from a trio program, coming back by itself.

`rooms` is what a program sees. `keeper` is the one task that reads and comes back; what it decides by is pure: `plan`
(when to come back), `inbox` (what waits to be read), `asks` (what waits for its ack), `roster`.
"""
