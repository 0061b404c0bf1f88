"""Several gateways with one actor for each room: its owner's (SPEC 5.5, DESIGN 8).

Which rooms are ours:
- `lease`: whether this gateway may own rooms now;
- `claims`, `claim_events`: rooms are claimed before they begin, and written only while they are owned;
- `restoring`: what a room begins with when it moves here.

Members of our rooms who are connected elsewhere:
- `owning`: what their gateways say becomes mail of the rooms;
- `remote_members`: to a room they are connections as others.

Rooms elsewhere with connections here:
- `edges`: which rooms these are, and what becomes of them when their owner is gone;
- `edge_room`, `edge_context`: one such room: it passes on what is said, in both directions;
- `entry_window`: how many members enter at an owner at once;
- `untaken`: what was sent to an owner, and has to be said again when it was not taken;
- `tail`, `shared_view`: what connections here have heard and seen of a room, in case it goes on here;
- `moving`: how connections go on in another place of their room.

What gateways say to each other:
- `link`: what keeps messages in order, and finds losses;
- `links`: the links with all peers, over the bus;
- `parts`: messages that are too large for one packet.

`cluster` joins them, and hands rooms over at the end. The messages are in `omnisonic.wire.peer_messages`.
"""
