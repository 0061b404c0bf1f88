"""The mailbox: order is kept, control mail is never refused, data is refused at its limits."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.rooms.mailbox import DATA_BYTES, DATA_FRAMES, ClientMessages, Expire, Leave, Mailbox
from omnisonic.wire.frames import TEXT
from tests.actors.handles import FakeConnection, sent, text

bounded = settings(max_examples=200)


def many(count: int, size: int = 0) -> ClientMessages:
    """Mail of this many frames."""
    return ClientMessages(FakeConnection("ada"), [(TEXT, b"")] * count, size)


def test_mail_comes_out_in_the_order_it_came_in() -> None:
    """Somebody who says something and leaves is heard first."""
    mailbox, ada = Mailbox(), FakeConnection("ada")
    words, goodbye = sent(ada, text("note")), Leave(ada, "left")
    assert mailbox.offer(words)
    mailbox.tell(goodbye)
    assert [mailbox.take(), mailbox.take()] == [words, goodbye]
    with pytest.raises(IndexError):
        mailbox.take()


def test_data_is_refused_at_the_limit_of_frames_and_control_mail_is_not() -> None:
    """What was refused has left no trace, and there is room again once mail is taken."""
    mailbox = Mailbox()
    assert mailbox.offer(many(DATA_FRAMES))
    assert not mailbox.offer(many(1))
    mailbox.tell(Expire())
    assert len(mailbox) == 2
    assert mailbox.frames == mailbox.high_water == DATA_FRAMES
    mailbox.take()
    assert mailbox.offer(many(1))


def test_data_is_refused_at_the_limit_of_bytes() -> None:
    """Few large messages weigh as much as many small ones."""
    mailbox = Mailbox()
    assert mailbox.offer(many(1, DATA_BYTES))
    assert not mailbox.offer(many(1, 1))


def test_what_is_left_of_a_mail_goes_in_front() -> None:
    """The frame that was begun is not in it; the mail behind it stays behind it."""
    mailbox, ada = Mailbox(), FakeConnection("ada")
    mailbox.offer(sent(ada, text("poison"), text("one"), text("two")))
    mailbox.offer(sent(ada, text("three")))
    mail = mailbox.take()
    assert isinstance(mail, ClientMessages)
    assert next(mail.rest) == mail.current == text("poison")
    mailbox.put_back(mail)
    rest = mailbox.take()
    assert isinstance(rest, ClientMessages)
    assert rest.frames == [text("one"), text("two")]
    assert len(mailbox) == 1


def test_a_mail_that_was_used_up_is_not_put_back() -> None:
    """The last frame of a read may be the poison."""
    mailbox = Mailbox()
    mail = sent(FakeConnection("ada"), text("poison"))
    next(mail.rest)
    mailbox.put_back(mail)
    assert not mailbox


@bounded
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 100), st.integers(0, 6)), max_size=20))
def test_an_empty_mailbox_has_counted_back_to_nothing(mails: list[tuple[int, int, int]]) -> None:
    """Whatever was put back in between: a count that creeps up would close the room to data one day."""
    mailbox = Mailbox()
    for frames, size, handled in mails:
        mailbox.offer(many(frames, size))
        mail = mailbox.take()
        assert isinstance(mail, ClientMessages)
        assert len(list(islice(mail.rest, handled))) == min(handled, len(mail.frames))
        mailbox.put_back(mail)
        assert mailbox.frames == sum(len(each.frames) for each in mailbox.queue if isinstance(each, ClientMessages))
    while mailbox:
        mailbox.take()
    assert (mailbox.frames, mailbox.size) == (0, 0)
