"""The client (SPEC 8): one member in one room, with automatic reconnection and recovery, on trio or asyncio.

`trio_client` has `connect` for trio, and `omnisonic.aio` the one for asyncio. Both open a `membership`, which yields a
`ClientRoom` (`rooms`); `sharing` is the part of it for what the members share.

`reconnector` is the one task that reads and reconnects. It opens each connection with `connection`, and applies what
arrives with `dispatch`: to `roster`, `shared_state`, `pending_requests`, and to `inbox`, which holds the messages that
the program has not read yet. `reconnect_policy` decides when to reconnect.

All of this is written once. It opens sockets, starts tasks and waits by a `backend`; `trio_backend` and
`asyncio_backend` are the two that there are.
"""
