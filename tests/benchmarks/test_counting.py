"""What the workers have counted is read from their metrics as they write them."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from benchmarks.counting import COUNTED, counted, read_counts
from messaging import telemetry


def test_batches_messages_and_seconds_are_read_by_their_names_here() -> None:
    registry = CollectorRegistry()
    messages = Histogram("coaching_batch_messages", "", ["group"], registry=registry)
    turns = Histogram("coaching_email_turn_seconds", "", registry=registry)
    Counter("coaching_emails", "", registry=registry).inc(7)  # which nobody asked for
    for size in (1000, 250):
        messages.labels("booking").observe(size)
    turns.observe(0.25)
    page = generate_latest(registry).decode()
    assert read_counts(page) == {"batches": 2, "messages": 1250, "turns": 1, "turn seconds": 0.25}


def test_every_name_is_one_that_a_worker_writes() -> None:
    metrics = (metric for metric in vars(telemetry).values() if isinstance(metric, MetricWrapperBase))
    written = {name for metric in metrics for family in metric.describe() for name in _samples(family.name)}
    assert not COUNTED.keys() - written


def _samples(family: str) -> tuple[str, ...]:
    return f"{family}_total", f"{family}_count", f"{family}_sum"


async def test_of_those_that_are_no_workers_nothing_is_counted() -> None:
    assert await counted([]) == {}
