"""The `Cookie` header, read in the same way by the web and by the gateway (RFC 6265 5.4). Sans-IO.

Browsers send cookies of other programs in the same header, with whatever values those have: JSON, brackets, spaces,
accents, no name. A pair that cannot be read is skipped and never hides another one.
"""


def read_cookie(header: str, name: str) -> str | None:
    """The value of the cookie `name`, without quotation marks around it; None when there is no such cookie.

    Args:
        header: The value of the `Cookie` header; several headers are joined by `;`.
        name: The cookie's name, compared with its case. Of several with this name the first counts: browsers send the
            one with the longest path first.
    """
    for pair in header.split(";"):
        found, separator, value = pair.partition("=")
        if separator and found.strip(" \t") == name:
            value = value.strip(" \t")
            return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return None
