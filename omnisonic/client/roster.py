"""The members of a room, as a client knows them (SPEC 5.2). Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from omnisonic.models import Member, MemberId


class Roster:
    """The members of the room in the order they came: those of the `welcome`, and the changes since."""

    def __init__(self) -> None:
        self._members: dict[MemberId, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, member_id: MemberId) -> Member | None:
        """The member with this id, or None."""
        return self._members.get(member_id)

    def replace_all(self, members: Any) -> None:
        """Replace the roster by `members`. Raises `ValueError` when that is not a list of members."""
        self._members = {member.member_id: member for member in msgspec.convert(members, list[Member])}

    def update(self, payload: Any) -> None:
        """Add or replace one member. Raises `ValueError` when `payload` is not a member."""
        member = msgspec.convert(payload, Member)
        self._members[member.member_id] = member

    def remove(self, payload: Any) -> None:
        """Remove the member that a `presence.leave` names."""
        if isinstance(payload, dict):
            self._members.pop(payload.get("memberId", ""), None)
