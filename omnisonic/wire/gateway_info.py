"""What a gateway of a cluster tells of itself with its lease, for operators (SPEC 5.5). Sans-IO."""

import msgspec


class GatewayInfo(msgspec.Struct, frozen=True):
    """A gateway: its `name`, its `version`, and its clock when it sent this, in milliseconds since 1970."""

    name: str
    version: str = ""
    now_ms: int | None = None


def encode_info(info: GatewayInfo) -> bytes:
    """Encode it, for the lease."""
    return msgspec.json.encode(info)


def read_info(data: bytes) -> GatewayInfo | None:
    """Decode it. None when it is something else: the gateway may be of another version."""
    try:
        return msgspec.json.decode(data, type=GatewayInfo)
    except (msgspec.DecodeError, UnicodeError):
        return None
