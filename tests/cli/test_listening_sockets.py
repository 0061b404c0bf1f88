"""Listening sockets: which address they take, and how they are called."""

import socket

import pytest

from omnisonic.cli.listening_sockets import CannotOpenSocket, inherited_listener, open_listener, port_of, url_of


def test_a_free_port_is_known_once_it_listens() -> None:
    """Port 0 picks one."""
    with open_listener("127.0.0.1", 0, setting="WEB") as listener:
        assert port_of(listener) > 0
        assert url_of(listener, "http") == f"http://127.0.0.1:{port_of(listener)}"
        socket.create_connection(listener.getsockname(), timeout=5).close()


def test_a_name_with_several_addresses_is_listened_on_by_ipv4() -> None:
    """`localhost` is what people type, and what most programs resolve to 127.0.0.1."""
    with open_listener("localhost", 0, setting="WEB") as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")])
def test_a_url_is_one_that_works_on_this_machine(host: str, shown: str) -> None:
    """A wildcard is no address to connect to, and IPv6 stands in brackets."""
    with open_listener(host, 0, setting="WEB") as listener:
        assert url_of(listener, "ws") == f"ws://{shown}:{port_of(listener)}"


def test_every_address_means_ipv4_as_well() -> None:
    """`::` is every address of the machine, not every IPv6 one."""
    with open_listener("::", 0, setting="WEB") as listener:
        socket.create_connection(("127.0.0.1", port_of(listener)), timeout=5).close()


def test_a_socket_that_does_not_listen_is_refused() -> None:
    """Accepting on it would fail much later, and less clearly."""
    fd = socket.socket().detach()
    with pytest.raises(CannotOpenSocket, match=f"^--fd {fd} is a socket that does not listen"):
        inherited_listener(fd)
