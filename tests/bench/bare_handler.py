"""A bare Quart handler that takes in a body and throws it away: what an upload costs before anything is done with it.

usage: python -m tests.bench.bare_handler FD
"""

import asyncio
import sys

from hypercorn import Config
from hypercorn.asyncio import serve
from quart import Quart, request

app = Quart(__name__)
app.config["MAX_CONTENT_LENGTH"] = None


@app.route("/sink", methods=["PUT", "POST"])
async def discard() -> str:
    """Take it all."""
    size = 0
    async for chunk in request.body:
        size += len(chunk)
    return str(size)


def main() -> None:
    """Serve on the listening socket whose number is the argument."""
    config = Config()
    config.bind = [f"fd://{sys.argv[1]}"]
    config.accesslog = None
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    main()
