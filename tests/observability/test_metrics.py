"""The metrics are named once, and each part has those that are listed as its own (SPEC 7)."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, Histogram, InMemoryMetricReader, Sum

from omnisonic.observability.metrics import METRICS, Metric, metrics_table


def test_no_two_metrics_have_the_same_name() -> None:
    """Whatever part they are of."""
    names = [metric.name for metrics in METRICS.values() for metric in metrics]
    assert len(names) == len(set(names)) > 15


def test_the_table_has_a_row_for_each() -> None:
    """With its part, kind, unit and attributes."""
    table = metrics_table()
    assert table.count("\n") == 2 + sum(map(len, METRICS.values()))
    assert "| `omnisonic.mirror_lag_s` | `omnisonic_mirror_lag_s_seconds` | gateway | gauge, seconds |" in table
    assert "(by `status`) |" in table


def test_an_instrument_is_what_its_definition_says() -> None:
    """Kind, unit and description reach whoever reads."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter("test")
    Metric("a", "gauge", "Now", "s").observe(meter, lambda: 1.5)
    Metric("b", "counter", "So far", "By").observe(meter, lambda: 7)
    Metric("c", "counter", "Added").counter(meter).add(2)
    Metric("d", "histogram", "Took", "s").histogram(meter).record(0.1)
    data = reader.get_metrics_data()
    assert data is not None
    read = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    assert [type(read[name].data) for name in "abcd"] == [Gauge, Sum, Sum, Histogram]
    assert [read[name].unit for name in "abcd"] == ["s", "By", "1", "s"]
    assert read["b"].description == "So far"
