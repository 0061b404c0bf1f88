"""The words of `/inspect`: what is written is read again, and what is no question is refused."""

import json
import re
from pathlib import Path
from typing import Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.errors import InvalidInput
from omnisonic.wire import inspection as words
from omnisonic.wire.inspection_lines import State
from tests.wire.json_values import values

DOCUMENT: Final = Path(__file__).parents[2] / "docs/inspecting.md"
bounded = settings(max_examples=300)


@pytest.mark.parametrize(
    "question",
    [
        words.AskRooms("1"),
        words.AskRooms("1", 2.5),
        words.AskRoom("x" * 64, "jam", 0.5),
        words.AskTree("1"),
        words.AskTap("1", "jam", 600, 10_000, 100, payload=True),
        words.AskKick("1", "jam", "ada"),
        words.AskClose("1", "jam"),
        words.AskRestart("1", "jam"),
        words.AskDeadLetters("1", None, payload=True),
        words.AskReplay("1", 7),
        words.AskStop("1", "2"),
    ],
)
def test_a_question_is_read_as_it_was_written(question: words.Question) -> None:
    """Every kind of it."""
    assert words.read_question(words.encode(question)) == question


@bounded
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200), values.map(json.dumps)))
def test_nothing_else_is_a_question_and_nothing_raises_but_that(text: str | bytes) -> None:
    """Whatever comes, it has an id or an empty one."""
    with pytest.raises(InvalidInput) as wrong:
        words.read_question(text)
    assert wrong.value.code == "bad_request"
    assert len(words.read_id(text)) <= 64


def test_the_document_names_every_question_every_answer_and_every_code() -> None:
    """Those that there are, and no other."""
    text = DOCUMENT.read_text()
    told = {
        title: set(re.findall(r"^\| `(\w+)` \|", text.partition(f"| {title} |")[2].partition("\n\n")[0], re.MULTILINE))
        for title in ("question", "answer", "code")
    }
    assert told["question"] == {each.__struct_config__.tag for each in get_args(words.Question)}
    assert told["answer"] == {each.__struct_config__.tag for each in get_args(words.Answer)}
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text.partition("| code |")[2], re.MULTILINE))
    assert rows == words.ERROR_CODES


def test_the_document_names_every_state() -> None:
    """In a table of its own."""
    rows = re.findall(
        r"^\| `(\w+)` \|", DOCUMENT.read_text().partition("| state |")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert rows == list(get_args(State))
