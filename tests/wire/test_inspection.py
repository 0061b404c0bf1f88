"""The protocol of `/inspect`: what is encoded is decoded again, and invalid questions are refused."""

import json
import re
from pathlib import Path
from typing import Final, get_args

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnisonic.errors import InvalidInput
from omnisonic.wire import inspection
from omnisonic.wire.inspection_lines import State
from tests.wire.json_values import values

DOCUMENT: Final = Path(__file__).parents[2] / "docs/inspecting.md"
bounded = settings(max_examples=300)


@pytest.mark.parametrize(
    "question",
    [
        inspection.AskRooms("1"),
        inspection.AskRooms("1", 2.5),
        inspection.AskRoom("x" * 64, "jam", 0.5),
        inspection.AskTree("1"),
        inspection.AskTap("1", "jam", 600, 10_000, 100, payload=True),
        inspection.AskKick("1", "jam", "ada"),
        inspection.AskClose("1", "jam"),
        inspection.AskRestart("1", "jam"),
        inspection.AskDeadLetters("1", None, payload=True),
        inspection.AskReplay("1", 7),
        inspection.AskStop("1", "2"),
    ],
)
def test_a_question_is_decoded_as_it_was_encoded(question: inspection.Question) -> None:
    """Each type of question."""
    assert inspection.read_question(inspection.encode(question)) == question


@bounded
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200), values.map(json.dumps)))
def test_nothing_else_is_a_question_and_nothing_raises_but_that(text: str | bytes) -> None:
    """Any input has an id, or an empty one."""
    with pytest.raises(InvalidInput) as wrong:
        inspection.read_question(text)
    assert wrong.value.code == "bad_request"
    assert len(inspection.read_id(text)) <= 64


@bounded
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
@example(b'{"type":"\xff"}')
def test_nothing_else_is_an_answer(text: str | bytes) -> None:
    """A gateway of another version may say anything."""
    with pytest.raises(msgspec.DecodeError):
        inspection.read_answer(text)


def test_the_document_names_every_question_every_answer_and_every_code() -> None:
    """All of them, and no others."""
    text = DOCUMENT.read_text()
    documented = {
        title: set(re.findall(r"^\| `(\w+)` \|", text.partition(f"| {title} |")[2].partition("\n\n")[0], re.MULTILINE))
        for title in ("question", "answer", "code")
    }
    assert documented["question"] == {each.__struct_config__.tag for each in get_args(inspection.Question)}
    assert documented["answer"] == {each.__struct_config__.tag for each in get_args(inspection.Answer)}
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text.partition("| code |")[2], re.MULTILINE))
    assert rows == inspection.ERROR_CODES


def test_the_document_names_every_state() -> None:
    """In its own table."""
    rows = re.findall(
        r"^\| `(\w+)` \|", DOCUMENT.read_text().partition("| state |")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert rows == list(get_args(State))
