"""How rosters and leases become one list of members: the same for every store. Pure."""

from collections.abc import Iterable
from operator import attrgetter

from omnisonic.models import MemberId, PresenceMember


def merged(rosters: Iterable[Iterable[PresenceMember]], leases: Iterable[PresenceMember]) -> list[PresenceMember]:
    """One line a member, in the order of their ids.

    A roster's line wins over a lease; of two rosters' lines, the one seen last.
    """
    seen: dict[MemberId, PresenceMember] = {}
    for roster in rosters:
        for member in roster:
            earlier = seen.get(member.member_id)
            if earlier is None or earlier.last_seen < member.last_seen:
                seen[member.member_id] = member
    for member in leases:
        seen.setdefault(member.member_id, member)
    return sorted(seen.values(), key=attrgetter("member_id"))
