"""Answers and metrics of several workers as those of one gateway."""

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from omnisonic.actors.workers.merging import (
    WorkerReport,
    merge_children,
    merge_gateways,
    merge_letters,
    merge_rooms,
    split_letter,
)
from omnisonic.actors.workers.peer_pages import merge_metrics
from omnisonic.wire.inspection import NotAnswering
from omnisonic.wire.inspection_lines import GatewayLine, LetterLine

LINE = GatewayLine("host:8080/1", 1, "1.0", 10.0, 1, 2, 3, 4, 0.1, 6, 0.2, 8, 9, 1, 0.5)
OTHER = GatewayLine("host:8080/2", 2, "1.0", 5.0, 10, 20, 30, 40, 0.2, 60, 0.3, 80, 90, 0, 1.5)
TEXTS = {
    0: b'# HELP a_total What\n# TYPE a_total counter\na_total{room="{ x"} 1.0\n# HELP b Be\n# TYPE b gauge\nb 2.0\n',
    1: b'# HELP a_total What\n# TYPE a_total counter\na_total{room="y"} 3.0\n# HELP c See\n# TYPE c gauge\nc{} 4.0\n',
}


def letter(number: int, second: int) -> LetterLine:
    """A dead letter of a worker."""
    at = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
    return LetterLine(number, "jam", 1, None, "ClientMessages", 1, "poison", at)


def test_gateways_are_added_up() -> None:
    """Counts are sums; the name is the one that they share."""
    assert merge_gateways([LINE, OTHER]) == GatewayLine(
        "host:8080", 1, "1.0", 10.0, 11, 22, 33, 44, 0.3, 66, 0.5, 88, 99, 1, 1.5
    )


def test_a_worker_that_does_not_answer_is_named() -> None:
    """With the room that blocks it, if it says so."""
    blocked = WorkerReport(2, stall=NotAnswering("1", "jam", 3.0, "code.py:1 in on_message"))
    reports = [WorkerReport(1, gateway=LINE), blocked, WorkerReport(3)]
    assert [report.problem() for report in reports] == [
        "",
        "Worker 2 is not answering: the room jam keeps it busy, for 3.0 s by now.",
        "Worker 3 does not answer.",
    ]
    assert [(room.room, room.state) for room in merge_rooms(reports)] == [("jam", "stuck")]
    assert [(child.name, child.state) for child in merge_children(reports)] == [
        ("worker 1", "running"),
        ("worker 2", "silent"),
        ("worker 3", "silent"),
    ]


def test_dead_letters_have_numbers_that_lead_back_to_their_worker() -> None:
    """Oldest first, whatever worker they are of."""
    merged = merge_letters({0: (letter(0, 1), letter(1, 3)), 2: (letter(0, 2),)}, 3)
    assert [split_letter(line.letter, 3) for line in merged] == [(0, 0), (2, 0), (0, 1)]


def test_metrics_of_all_workers_are_one_text() -> None:
    """Each family once, each sample with its worker, and which workers have answered."""
    text = merge_metrics(3, TEXTS).decode()
    assert text.count("# HELP a_total") == 1
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples == {
        ("a_total", ("room", "{ x"), ("worker", "1")): 1.0,
        ("a_total", ("room", "y"), ("worker", "2")): 3.0,
        ("b", ("worker", "1")): 2.0,
        ("c", ("worker", "2")): 4.0,
        ("omnisonic_worker_up", ("worker", "1")): 1.0,
        ("omnisonic_worker_up", ("worker", "2")): 1.0,
        ("omnisonic_worker_up", ("worker", "3")): 0.0,
    }
