"""The client over TLS (`wss://`): it trusts whom its context trusts, and nobody else."""

import ssl
from functools import partial
from pathlib import Path

import pytest
import trio

import omnisonic
from omnisonic.concurrency.background import open_background
from tests.certificates import make_certificate
from tests.client.libraries import Client
from tests.clients import DEADLINE_S
from tests.embedding.staging import hear


async def pass_on(port: int, outside: trio.SSLStream[trio.SocketStream]) -> None:
    """What a proxy does that has the certificate: carry bytes to the gateway and back."""

    async def carry(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
        try:
            while data := await source.receive_some():
                await target.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    async with await trio.open_tcp_stream("127.0.0.1", port) as inside, trio.open_nursery() as nursery:
        scope = nursery.cancel_scope
        nursery.start_soon(carry, outside, inside)
        nursery.start_soon(carry, inside, outside)
    await trio.aclose_forcefully(outside)


async def test_a_client_talks_through_a_proxy_with_tls(client: Client, tmp_path: Path) -> None:
    """To whose certificate it trusts; otherwise it does not say a word, and tells why."""
    signed, private = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed, private)
    trusting = ssl.create_default_context(cafile=str(signed))
    async with omnisonic.open_gateway() as gateway, open_background() as background:
        handler = partial(pass_on, gateway.port)
        serve = partial(trio.serve_ssl_over_tcp, handler, 0, context, host="127.0.0.1", https_compatible=True)
        (listener,) = await background.start(serve)
        port = listener.transport_listener.socket.getsockname()[1]
        url = f"wss://localhost:{port}"
        async with (
            client.connect(url, room="jam", name="Ada", ssl_context=trusting) as ada,
            client.member(gateway, "bo") as bo,
        ):
            await hear(ada, "presence.join")
            await bo.say("note", "x" * 10_000)
            assert (await hear(ada, "note")).payload == "x" * 10_000
            assert await ada.ask("note") == 2
        with trio.fail_after(DEADLINE_S), pytest.raises(omnisonic.EntryRefused, match="certificate") as refused:
            async with client.connect(url, room="jam", name="Ada"):
                pass
        assert refused.value.code == "unreachable"
