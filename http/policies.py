"""The Content-Security-Policies (CSP 3): what a browser lets an answer of ours load, run and be embedded in.

Nothing we serve has inline script or style, so no nonce is needed, and no text ever becomes markup.
"""

from typing import Final

_NEVER: Final = "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"

DATA: Final = f"default-src 'none'; form-action 'none'; {_NEVER}"
"""For everything that is not a page: may load, run and embed nothing."""

STILL_PAGE: Final = f"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; {_NEVER}"
"""For a page without scripts."""


def live_page(gateway: str) -> str:
    """For a page that runs our scripts and opens sockets to `gateway`, which is one or more CSP sources."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {gateway}; "
        f"form-action 'self'; require-trusted-types-for 'script'; {_NEVER}"
    )
