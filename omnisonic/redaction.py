"""Hides secrets in what is written to logs, spans and standard error (SPEC 7).

Secrets are passwords in URLs, tickets, tokens, invites, cookies and `Authorization`. There are two checks, because
either alone has gaps: a value is hidden completely when its *name* is that of a secret, and all text is searched for
secrets in the places where they usually are (URLs, query strings, headers, and their `repr`).

It sometimes hides too much, so that it never hides too little. Pure; nothing here raises.
"""

import re
from collections.abc import Mapping
from typing import Final

HIDDEN: Final = "***"

_NAME: Final = r"(?:ticket|token|passw(?:or)?d|secret(?:_key)?|api_?key|access_?key)"
_HEADER: Final = r"(?:authorization|cookie)"
_SECRET_NAME: Final = re.compile(rf"(?:{_NAME}|{_HEADER})s?$", re.IGNORECASE)

_PATTERNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # scheme://user:password@host. A port followed by a path is no password.
        (r"(://[^/\s:@]*):(?!\d+(?:[/?#\s]|$))[^\s\"']*@", rf"\1:{HIDDEN}@"),
        # Cookie: a=b; c=d, Authorization: Bearer x: up to the end of the line or of the quoted string.
        (rf"({_HEADER}[\"']?\s*[=:]\s*)(?:b?[\"'][^\"'\r\n]*[\"']?|[^\r\n\"']+)", rf"\1{HIDDEN}"),
        # (b'cookie', b'a=b'), as ASGI's and h11's headers print.
        (rf"({_HEADER}[\"'],\s*b?)([\"'])[^\r\n]*?\2", rf"\1{HIDDEN}"),
        (r"\b(bearer|basic)\s+[\w.~+/=-]+", rf"\1 {HIDDEN}"),
        # ticket=x in a query, "ticket": "x" in JSON.
        (rf"({_NAME}[\"']?\s*[=:]\s*)(?:b?\"[^\"\r\n]*\"|b?'[^'\r\n]*'|[^\s&,;\"'}}]+)", rf"\1{HIDDEN}"),
        # What a sign-in provider sends the browser back with (RFC 6749, 4.1.2), and what shows that we had asked.
        (r"([?&](?:code|code_verifier|state)=)[^\s&;\"'#]+", rf"\1{HIDDEN}"),
        # A link that makes whoever opens it a collaborator, and one that plays a mixdown.
        (r"(/(?:invites|listen)/)[\w.~+=-]+", rf"\1{HIDDEN}"),
        # A link that downloads a file for whoever has it: ours, and one of S3 (Signature Version 4, and 2).
        (r"(/files/)[\w.~+=%-]+", rf"\1{HIDDEN}"),
        (
            r"(\b(?:X-Amz-(?:Signature|Credential)|AWSAccessKeyId|Signature)[\"']?\s*[=:]\s*[\"']?)[^\s&;,\"'#]+",
            rf"\1{HIDDEN}",
        ),
        # Our own cookies, also where no header names them.
        (
            r"((?:\b|__Host-)omnisonic(?:\.[\w.-]+)?[\"']?\s*=\s*)(?:\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\s;,&\"']+)",
            rf"\1{HIDDEN}",
        ),
        # A server key.
        (r"\bosk_[\w-]+", f"osk_{HIDDEN}"),
        # Sec-WebSocket-Protocol: omnisonic, ticket.x
        (r"\bticket\.[\w.~+/=-]+", f"ticket.{HIDDEN}"),
    )
)


def redacted_text(text: str) -> str:
    """`text` with its secrets replaced by `***`."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redacted(value: object, *, name: str = "") -> object:
    """`value` with its secrets hidden. `name` is what it is called. What is no number or container becomes text."""
    if _SECRET_NAME.search(name):
        return HIDDEN
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redacted_text(value)
        case Mapping():
            return {redacted_text(str(key)): redacted(item, name=str(key)) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return _redacted_items(list(value))
        case _:
            return redacted_text(str(value))


def _redacted_items(items: list[object]) -> list[object]:
    """The items with secrets hidden. A pair is taken for a header: its first item is the name of the second."""
    if len(items) == 2 and isinstance(items[0], str | bytes):
        name = items[0] if isinstance(items[0], str) else items[0].decode("latin-1")
        return [name, redacted(items[1], name=name)]
    return [redacted(item) for item in items]
