"""Questions of operators from gateway to gateway: how they are proved, and how long answers are split. Sans-IO.

An operator shows the token (`ADMIN_TOKEN`) to one gateway, which asks another one. Whoever can write to Redis can write
to gateways, but does not know the token. So each question has a proof that only who knows it can make, and a gateway
answers only when its own token is the same. The proof holds for one question, of one run to one run.
"""

import hmac
from collections.abc import Iterator
from typing import Final

import msgspec

from omnisonic.wire.peer_messages import Answer, Ask

PART_BYTES: Final = 262_144
"""An answer is sent in parts of this size, so that turns of rooms get between them."""
ANSWER_BYTES: Final = 16 * 1024 * 1024
"""A longer answer is not taken."""
_PURPOSE: Final = "omnisonic question between gateways"


def prove(token: str, asker: str, answerer: str, ask: Ask) -> bytes:
    """The proof of this question of the run `asker` to the run `answerer`: an HMAC (RFC 2104) with SHA-256."""
    about = msgspec.msgpack.encode((_PURPOSE, asker, answerer, ask.id, ask.what, ask.address))
    return hmac.digest(token.encode(), about, "sha256")


def is_proved(token: str, asker: str, answerer: str, ask: Ask) -> bool:
    """Whether the question has the proof that it needs."""
    return hmac.compare_digest(prove(token, asker, answerer, ask), ask.proof)


def split_answer(id_: str, body: bytes) -> Iterator[Answer]:
    """The parts of an answer, in order."""
    last = max(0, len(body) - 1) // PART_BYTES
    for number in range(last + 1):
        start = number * PART_BYTES
        yield Answer(id_, body[start : start + PART_BYTES], more=number < last)
