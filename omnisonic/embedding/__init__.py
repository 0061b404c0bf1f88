"""Omnisonic in other people's programs (SPEC 8): their gateways, their rooms, the web mounted in their web app.

`gateway` runs rooms in a trio program, `rooms` is the class that they subclass and `hosting` what calls its hooks,
`admission` asks them who may enter, `ticker` tells the time. `web` is the studio's web as an ASGI app, for asyncio.
Nothing here is needed by the studio itself.
"""
