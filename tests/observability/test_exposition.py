"""What Prometheus reads: every metric under its documented name, as Prometheus' own parser reads it (SPEC 9)."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from omnisonic.observability.exposition import Exposition
from omnisonic.observability.metrics import METRICS, OF_GATEWAYS, OF_PEERS, Kind, Metric

ALL: Final = [metric for metrics in METRICS.values() for metric in metrics]
OBSERVED: Final = [*OF_GATEWAYS.values(), *(metric for metric in ALL if metric.kind == "gauge")]


def measured(*metrics: Metric, instance: str | None = None) -> Exposition:
    """An exposition of these metrics, each with a value."""
    exposition = Exposition(instance=instance)
    resource = Resource({"service.instance.id": instance or "one", "service.name": "omnisonic-test"})
    meter = MeterProvider([exposition.reader], resource, shutdown_on_exit=False).get_meter("test")
    for metric in metrics:
        about = dict.fromkeys(metric.by, "some")
        if metric in OF_PEERS.values():
            metric.observe_each(meter, lambda: {"some": 3})
        elif metric in OBSERVED:
            metric.observe(meter, lambda: 3)
        elif metric.kind == "counter":
            metric.counter(meter).add(3, about)
        else:
            metric.histogram(meter).record(3, about)
    return exposition


def scraped(exposition: Exposition) -> Mapping[str, Family]:
    """What a scrape finds, by the names that are queried."""
    families = text_string_to_metric_families(exposition.render().decode())
    return {sample.name: family for family in families for sample in family.samples}


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_metric_has_the_name_that_is_documented(metric: Metric) -> None:
    """Its type and meaning, too; a histogram has buckets, a sum and a count."""
    found = scraped(measured(metric))
    endings = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
    families = [found[metric.prometheus_name + ending] for ending in endings]
    assert {(family.type, family.documentation) for family in families} == {(metric.kind, metric.meaning)}
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    assert labels - {"le"} == {name.replace(".", "_") for name in metric.by}


def test_a_process_says_what_it_is_and_what_it_uses() -> None:
    """Its version and id once, and the numbers that Prometheus knows of every process."""
    found = scraped(measured(METRICS["web"][1]))
    assert found["target_info"].samples[0].labels["service_name"] == "omnisonic-test"
    assert {"process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"} <= set(found)


def test_what_is_not_known_is_left_out() -> None:
    """And the others are there."""
    exposition = Exposition()
    meter = MeterProvider([exposition.reader], shutdown_on_exit=False).get_meter("test")
    Metric("known", "gauge", "Known").observe(meter, lambda: 1)
    Metric("unknown", "gauge", "Not known").observe(meter, lambda: None)
    assert {"known", "unknown"} & set(scraped(exposition)) == {"known"}


@pytest.mark.parametrize("kind", ["gauge", "counter"])
def test_what_has_gone_is_left_out(kind: Kind) -> None:
    """A metric with an attribute has only those values of it that there are now."""
    exposition, peers = Exposition(), {"a": 1.0, "b": 2.0}
    meter = MeterProvider([exposition.reader], shutdown_on_exit=False).get_meter("test")
    metric = Metric("peers", kind, "Peers", by=("peer",))
    metric.observe_each(meter, lambda: peers)

    def found() -> dict[str, float]:
        return {
            sample.labels["peer"]: sample.value
            for sample in scraped(exposition)[metric.prometheus_name].samples
            if sample.name == metric.prometheus_name
        }

    assert found() == {"a": 1.0, "b": 2.0}
    del peers["b"]
    peers["a"] = 3.0
    assert found() == {"a": 3.0}


def test_processes_that_share_an_address_are_told_apart() -> None:
    """By a label of each metric, those of the process itself included; alone a process needs none."""
    metric = METRICS["web"][1]
    for instance, labels in (("two", {"service_instance_id": "two"}), (None, {})):
        found = scraped(measured(metric, instance=instance))
        for name in (metric.prometheus_name, "process_start_time_seconds", "process_cpu_seconds_total"):
            (sample,) = found[name].samples
            assert sample.labels == labels, name


def test_several_threads_may_render_at_once() -> None:
    """Each gets every metric once."""
    exposition = measured(*ALL)
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: exposition.render(), range(40)))
    assert {text.count(b"# TYPE omnisonic_rooms gauge\n") for text in texts} == {1}
    assert {text.count(b"# TYPE ") for text in texts} == {texts[0].count(b"# TYPE ")}
