"""The metrics of a gateway in another program: on its own page, or by the program's OpenTelemetry (SPEC 7, 8).

With `metrics=True` the gateway answers `/metrics` on its port, as the studio's does; that needs the extra `studio`.
With a `MeterProvider` they go wherever the program sends its own. Several gateways may share one: `server.port` tells
them apart. Overload, crash and shutdown: see `omnisonic.actors.inspection.metrics`.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry.metrics import MeterProvider

from omnisonic.actors.runtime.telemetry import ANY_TARGET, METER, MetricsTarget
from omnisonic.errors import MissingExtra

GATEWAY: Final = "omnisonic.gateway"
"""The attribute of a meter that is different for each gateway: a meter forgets nothing that it has measured."""
_NAME_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class GatewayMetrics:
    """Where metrics go. `render` makes what `/metrics` answers; `is_published`: somebody asked for them."""

    target: MetricsTarget = ANY_TARGET
    render: Callable[[], bytes] | None = None
    is_published: bool = False


@contextmanager
def open_metrics(metrics: MeterProvider | bool, port: int) -> Iterator[GatewayMetrics]:
    """What the argument `metrics` of `open_gateway` means, for a gateway on this port, until the block ends.

    Raises:
        MissingExtra: `metrics=True` without the extra `studio`.
        TypeError: It is neither.
    """
    if metrics is True:
        with _open_page() as page:
            yield page
    elif metrics is False:
        yield GatewayMetrics()
    elif isinstance(metrics, MeterProvider):
        meter = metrics.get_meter(METER, attributes={GATEWAY: secrets.token_hex(_NAME_BYTES)})
        yield GatewayMetrics(MetricsTarget(meter, {"server.port": port}), is_published=True)
    else:
        raise TypeError("metrics must be True, or a MeterProvider of OpenTelemetry.")


@contextmanager
def _open_page() -> Iterator[GatewayMetrics]:
    try:
        from opentelemetry.sdk.metrics import MeterProvider as SdkProvider

        from omnisonic.observability.exposition import Exposition
    except ModuleNotFoundError as missing:
        raise MissingExtra("metrics=True", missing) from None
    exposition = Exposition()
    provider = SdkProvider([exposition.reader], shutdown_on_exit=False)
    try:
        yield GatewayMetrics(MetricsTarget(provider.get_meter(METER)), exposition.render, is_published=True)
    finally:
        provider.shutdown()
