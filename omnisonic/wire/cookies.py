"""Reading the `Cookie` header as browsers write it (RFC 6265 5.4), the same on the web and on the gateway. Pure.

Other people's cookies stand in the same header as ours, and browsers send whatever a page or a proxy has set: JSON,
brackets, spaces, accents, a value without a name. What cannot be read is passed over and never hides what can.
"""


def read_cookie(header: str, name: str) -> str | None:
    """The value of the cookie `name` in a `Cookie` header, of several headers joined by `;`; None without one.

    Of cookies with the same name the first counts: browsers send the one with the longest path first. Quotation marks
    around a value are not part of it.
    """
    for pair in header.split(";"):
        found, separator, value = pair.partition("=")
        if separator and found.strip(" \t") == name:
            value = value.strip(" \t")
            return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return None
