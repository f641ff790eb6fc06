"""The metrics vocabulary as Prometheus sees it."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.metrics import MetricWrapperBase

from messaging import telemetry


@dataclass(frozen=True)
class Metric:
    """`name` is what a worker's page calls the family; `samples` are the names that a query uses."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    @property
    def samples(self) -> tuple[str, ...]:
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))
        return (self.name,)

    @property
    def counts(self) -> str:
        """The sample that moves with whatever it measures."""
        return f"{self.name}_count" if self.kind == "histogram" else self.name


def _metric(wrapper: MetricWrapperBase) -> Metric:
    (family,) = wrapper.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Metric(name, family.type, tuple(wrapper._labelnames), family.documentation)


VOCABULARY: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (_metric(one) for one in vars(telemetry).values() if isinstance(one, MetricWrapperBase))
}
