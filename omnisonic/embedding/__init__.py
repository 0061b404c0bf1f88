"""Omnisonic in other programs (SPEC 8): rooms in a trio program, and the studio's web in an ASGI app.

`gateway` has `open_gateway`. `rooms` has the class `Room` that programs subclass, and `hosting` calls its hooks, which
`hook_contract` checks. `admission` calls the program's `admit`, and `ticker` sends ticks. `web` has `create_app`, for
asyncio. The studio itself uses none of this.
"""
