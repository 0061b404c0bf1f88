"""The client over TLS (`wss://`): it trusts whom its context trusts, and nobody else."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import omnisonic
from omnisonic.background import open_background
from tests.clients import DEADLINE_S
from tests.embedding.staging import hear, member


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for `localhost` that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    signed, private = folder / "certificate.pem", folder / "key.pem"
    signed.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return signed, private


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


async def test_a_client_talks_through_a_proxy_with_tls(tmp_path: Path) -> None:
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
            omnisonic.connect(url, room="jam", name="Ada", ssl_context=trusting) as ada,
            member(gateway, "bo") as bo,
        ):
            await hear(ada, "presence.join")
            await bo.say("note", "x" * 10_000)
            assert (await hear(ada, "note")).payload == "x" * 10_000
            assert await ada.ask("note") == 2
        with trio.fail_after(DEADLINE_S), pytest.raises(omnisonic.EntryRefused, match="certificate") as refused:
            async with omnisonic.connect(url, room="jam", name="Ada"):
                pass
        assert refused.value.code == "unreachable"
