"""The Content-Security-Policies (CSP 3): what a browser lets an answer of ours load, run and be embedded in.

Nothing we serve has inline script or style, so no nonce is needed, and no text ever becomes markup.
"""

from typing import Final

_NEVER: Final = "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"

DATA: Final = f"default-src 'none'; form-action 'none'; {_NEVER}"
"""For everything that is not a page: may load, run and embed nothing."""

STILL_PAGE: Final = f"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; {_NEVER}"
"""For a page without scripts."""


def live_page(*, sockets: str = "", forms: str = "", plays: bool = False) -> str:
    """For a page that runs our scripts.

    `sockets` is where it may open sockets to, and `forms` where its forms may lead besides our own pages: browsers
    hold the policy also against the redirects that follow a form (CSP 3, 6.4.2). Each is CSP sources, apart by spaces.
    `plays`: whether it may play what we keep.
    """
    media = "media-src 'self'; " if plays else ""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; {media}"
        f"connect-src {_own_and(sockets)}; form-action {_own_and(forms)}; "
        f"require-trusted-types-for 'script'; {_NEVER}"
    )


def _own_and(sources: str) -> str:
    return f"'self' {sources}".rstrip()
