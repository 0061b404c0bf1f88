"""Who is in the room, as a client knows it: the `welcome`, and what was told since (SPEC 5.2). Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from omnisonic.models import Member, MemberId


class Roster:
    """The members, in the order they came."""

    def __init__(self) -> None:
        self._members: dict[MemberId, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, member_id: MemberId) -> Member | None:
        """The member of this id, if they are there."""
        return self._members.get(member_id)

    def welcome(self, members: Any) -> None:
        """These are all of them. Errors: `ValueError` when that is no list of members."""
        self._members = {member.member_id: member for member in msgspec.convert(members, list[Member])}

    def update(self, payload: Any) -> None:
        """Somebody came, or is shown differently. Errors: `ValueError`."""
        member = msgspec.convert(payload, Member)
        self._members[member.member_id] = member

    def left(self, payload: Any) -> None:
        """Somebody is gone."""
        if isinstance(payload, dict):
            self._members.pop(payload.get("memberId", ""), None)
