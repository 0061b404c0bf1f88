"""Omnisonic in other programs (SPEC 8): rooms in a trio program, and the studio's web in an ASGI app.

`gateway` has `open_gateway`, and `admission` calls the program's `admit`. `web` has `create_app`, for asyncio. The
studio itself uses none of this. The class `Room` is in `omnisonic.actors.hosting`, because the studio's own gateway
hosts rooms, too (`omnisonic gateway --rooms`).
"""
