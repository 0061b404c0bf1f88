"""The members of a room, as a client knows them (SPEC 5.2). Pure."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from omnisonic.models import Member, MemberId
from omnisonic.wire.decoded_message import Message

MISSED: Final = "lost"
"""The reason of a leave that was not told: nobody knows another one any more."""


class Roster:
    """The members of the room in the order they came: those of the `welcome`, and the changes since."""

    def __init__(self) -> None:
        self._members: dict[MemberId, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, member_id: MemberId) -> Member | None:
        """The member with this id, or None."""
        return self._members.get(member_id)

    def replace_all(self, members: Any) -> list[Message]:
        """Replace the roster by `members`. Raises `ValueError` when that is not a list of members.

        Returns the messages that the room would have sent for what differs: who left, then who changed and who joined.
        """
        before = self._members
        self._members = {member.member_id: member for member in msgspec.convert(members, list[Member])}
        gone = [member_id for member_id in before if member_id not in self._members]
        told = [Message("presence.leave", {"memberId": member_id, "reason": MISSED}) for member_id in gone]
        for member_id, member in self._members.items():
            if before.get(member_id) != member:
                type_ = "presence.update" if member_id in before else "presence.join"
                told.append(Message(type_, msgspec.to_builtins(member)))
        return told

    def update(self, payload: Any) -> None:
        """Add or replace one member. Raises `ValueError` when `payload` is not a member."""
        member = msgspec.convert(payload, Member)
        self._members[member.member_id] = member

    def remove(self, payload: Any) -> None:
        """Remove the member that a `presence.leave` names."""
        if isinstance(payload, dict):
            self._members.pop(payload.get("memberId", ""), None)
