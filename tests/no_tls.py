"""TLS for HTTP clients that never use it, because everything that tests ask is on loopback, without TLS."""

import ssl
from typing import Final

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Believes no certificate. Give it to httpx as `verify`: for each client it would read all certificates again, which
takes as long as ten requests."""
