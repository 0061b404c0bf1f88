"""Moving connections and their mail from one place of a room to another: the mechanism of the cluster (SPEC 5.5).

A connection that moves stays open. It enters the room again, with what it has seen (`Connection.since`); what it has
said and nobody has handled goes with it.
"""

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import ChangeRole, ClientMessages, Control, Join, Leave, Mailbox, busy_frames
from omnisonic.actors.rooms.port import RoomPort


def join_mail(connection: Connection, *, is_rejoin: bool) -> Join:
    """How a connection enters its room again, in another place."""
    assert connection.member is not None
    known = connection.person, connection.since, connection.tempo, connection.is_listener
    return Join(connection, connection.member, *known, is_rejoin=is_rejoin)


def transfer(mailbox: Mailbox, room: RoomPort) -> None:
    """Give what connections to this gateway have put into a mailbox to `room`. Other mail is dropped."""
    while mailbox:
        mail = mailbox.take()
        if not isinstance(mail, Join | Leave | ChangeRole | ClientMessages) or not isinstance(
            mail.connection, Connection
        ):
            continue
        pass_on(mail, room)


def pass_on(mail: Control | ClientMessages, room: RoomPort) -> None:
    """Give mail of a connection to this gateway to `room`. Who has said something that finds no place is told."""
    if not isinstance(mail, ClientMessages):
        if isinstance(mail, Join) and isinstance(mail.connection, Connection):
            mail.connection.move(room)
        room.tell(mail)
    elif not room.offer(mail):
        mail.connection.push(busy_frames(mail.frames))


def move_members(actor: RoomActor, room: RoomPort) -> None:
    """Have the members who are connected here, and what waits in the room's mailbox, go on in `room`."""
    for entry in actor.entries:
        if isinstance(entry.connection, Connection) and entry.connection.is_open:
            pass_on(join_mail(entry.connection, is_rejoin=True), room)
    transfer(actor.mailbox, room)
