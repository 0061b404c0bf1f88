"""What links promise, as a check of what was sent and received between resets."""


class Ledger:
    """What one side has sent, and what has arrived from the other, as numbers, each between resets of that side."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = [[]]
        self.received: list[list[int]] = [[]]

    def reset(self) -> None:
        """This side was told of a reset."""
        self.sent.append([])
        self.received.append([])


def check_promise(sender: Ledger, receiver: Ledger) -> None:
    """Each part that was received is the beginning of one that was sent; none comes twice, or after a later one."""
    at = 0
    for part in filter(None, receiver.received):
        while sender.sent[at : at + 1] and sender.sent[at][: len(part)] != part:
            at += 1
        assert at < len(sender.sent), f"{part} in {receiver.received} was not sent like this: {sender.sent}"
        at += 1


def check_all_arrived(sender: Ledger, receiver: Ledger) -> None:
    """All that was sent since the sender's last reset has arrived, and nothing after it."""
    received = [part for part in receiver.received if part]
    if sender.sent[-1]:
        assert received
        assert received[-1] == sender.sent[-1]
