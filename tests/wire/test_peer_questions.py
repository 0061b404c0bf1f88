"""Questions between gateways: nobody can prove one without the token, and answers are split and put together."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisonic.wire.peer_messages import Ask
from omnisonic.wire.peer_questions import PART_BYTES, is_proved, prove, split_answer

texts = st.text(max_size=8)
asks = st.builds(Ask, texts, st.binary(max_size=8), texts)


@given(st.text(min_size=1), texts, texts, asks)
def test_a_question_with_its_proof_is_taken(token: str, asker: str, answerer: str, ask: Ask) -> None:
    """By whoever knows the same token."""
    proved = msgspec.structs.replace(ask, proof=prove(token, asker, answerer, ask))
    assert is_proved(token, asker, answerer, proved)
    assert not is_proved(token + "x", asker, answerer, proved)
    assert not is_proved(token, asker, answerer, ask)


@given(st.tuples(texts, texts, asks), st.tuples(texts, texts, asks))
def test_a_proof_is_for_one_question_of_one_run_to_one_run(
    one: tuple[str, str, Ask], other: tuple[str, str, Ask]
) -> None:
    """Nothing of it can be moved from one field to the next."""
    assert (prove("token", *one) == prove("token", *other)) is (one == other)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES])
def test_an_answer_is_split_and_whole(size: int) -> None:
    """Each part but the last says that there is more."""
    body = bytes(number % 251 for number in range(size))
    parts = list(split_answer("7", body))
    assert b"".join(part.body for part in parts) == body
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert {part.id for part in parts} == {"7"}
    assert max(len(part.body) for part in parts) <= PART_BYTES
