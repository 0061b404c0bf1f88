"""A tap: what it shows, what it hides, and that it ends by itself."""

from omnisonic.actors.rooms.mailbox import Expire, ExternalMessage, Join, Leave, Mail
from omnisonic.actors.rooms.roster import Roster
from omnisonic.actors.rooms.tap import SHOWN_BYTES, Bounds, Sample, Tap
from omnisonic.wire.frames import TEXT
from omnisonic.wire.messages import Envelope
from tests.actors.handles import Clock, FakeConnection, binary, member, sent, text


class Stage:
    """A tap on a room with ada in it."""

    def __init__(self, *, per_s: int = 10, most: int = 100, for_s: float = 30.0, payload: bool = False) -> None:
        self.clock = Clock()
        self.samples: list[Sample] = []
        self.ends: list[str] = []
        bounds = Bounds(per_s, most, self.clock.now_s + for_s, payload)
        self.tap = Tap(bounds, self.clock, self.samples.append, lambda _, reason: self.ends.append(reason))
        self.ada, self.roster = FakeConnection("ada"), Roster()
        self.roster.join(member("ada"), self.ada)

    def see(self, *mails: Mail) -> None:
        for mail in mails:
            self.tap.show_mail(mail, self.roster)


def test_a_message_is_shown_without_what_it_says() -> None:
    """Who, what type, to whom, how long; not one byte of the payload."""
    stage = Stage()
    stage.see(sent(stage.ada, text("note", "a secret word"), text("signal.offer", "another secret", to="bo")))
    assert [(each.sender, each.message, each.to) for each in stage.samples] == [
        ("ada", "note", None),
        ("ada", "signal.offer", "bo"),
    ]
    assert all(each.payload is None and each.size > 20 for each in stage.samples)
    assert "secret" not in repr(stage.samples)


def test_payloads_are_shown_only_when_they_were_asked_for_and_not_without_end() -> None:
    """Text as text, binary as hexadecimal, both cut."""
    stage = Stage(payload=True)
    stage.see(sent(stage.ada, text("note", "x" * 60_000), binary(b"\x90\x40\x7f")))
    first, second = stage.samples
    assert first.payload is not None
    assert len(first.payload) == SHOWN_BYTES
    assert (second.kind, second.payload) == ("binary", "90 40 7f")
    stage = Stage(payload=True)
    stage.see(sent(stage.ada, binary(b"\x00" * 60_000)))
    assert len(stage.samples[0].payload or "") <= SHOWN_BYTES


def test_what_comes_from_outside_and_control_mail_is_shown_too() -> None:
    """By its kind; nobody said it."""
    stage = Stage(payload=False)
    reported = ExternalMessage(Envelope("upload.added"), lambda _: None)
    stage.see(reported, Join(FakeConnection("bo"), member("bo")), Leave(stage.ada, "left"), Expire())
    assert [(each.kind, each.sender, each.message) for each in stage.samples] == [
        ("text", None, "upload.added"),
        ("join", "bo", None),
        ("leave", "ada", None),
        ("Expire", None, None),
    ]


def test_what_is_no_message_is_shown_as_such() -> None:
    """A tap reads before the room has judged; it never raises."""
    stage = Stage()
    what = (b"\xff\xfe", b'{"type":"\xff"}', b"[" * 5000, b"")
    stage.see(sent(stage.ada, *((TEXT, each) for each in what)))
    assert [each.message for each in stage.samples] == ["(not a message)"] * len(what)


def test_more_than_so_many_a_second_are_only_counted() -> None:
    """The next one that is shown says how many were not."""
    stage = Stage(per_s=3)
    stage.see(sent(stage.ada, *[text("note")] * 10))
    assert len(stage.samples) == 3
    stage.clock.now_s += 1.0
    stage.see(sent(stage.ada, text("note")))
    assert [each.missed for each in stage.samples] == [0, 0, 0, 7]
    assert (stage.tap.passed, stage.tap.shown) == (11, 4)


def test_a_tap_ends_when_it_has_shown_so_many() -> None:
    """In the middle of a read, too; and it says so once."""
    stage = Stage(most=2)
    stage.see(sent(stage.ada, *[text("note")] * 5), sent(stage.ada, text("note")))
    assert (len(stage.samples), stage.ends) == (2, ["most"])


def test_a_tap_ends_when_its_time_is_over() -> None:
    """With the first message after that, which it does not show."""
    stage = Stage(for_s=5.0)
    stage.clock.now_s += 5.0
    stage.see(sent(stage.ada, text("note")), sent(stage.ada, text("note")))
    assert (stage.samples, stage.ends) == ([], ["time"])


def test_a_tap_that_was_closed_shows_nothing_more() -> None:
    """Whoever closes it first says why."""
    stage = Stage()
    stage.tap.close("stopped")
    stage.tap.close("time")
    stage.see(sent(stage.ada, text("note")))
    assert (stage.samples, stage.ends) == ([], ["stopped"])
