"""What our workers have counted, by their own metrics: how much they did at once, and how long it took them."""

import asyncio
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from devstack.processes import Process, Worker

COUNTED: Final = {
    "coaching_batch_messages_count": "batches",
    "coaching_batch_messages_sum": "messages",
    "coaching_batch_seconds_sum": "batch seconds",
    "coaching_batch_locked_seconds_sum": "locked seconds",
    "coaching_answers_published_total": "answers",
    "coaching_email_turn_seconds_count": "turns",
    "coaching_email_turn_seconds_sum": "turn seconds",
}
"""Names of metrics, and what they are called behind the service's name in the notes of a round: `booking batches`."""


async def counted(processes: Iterable[Process]) -> dict[str, float]:
    """Since they began, all workers of a service together. Of those that have no metrics, nothing."""
    workers = [process for process in processes if isinstance(process, Worker)]
    pages = await asyncio.gather(*(asyncio.to_thread(_page, worker) for worker in workers))
    counts: dict[str, float] = defaultdict(float)
    for worker, page in zip(workers, pages, strict=True):
        for name, value in read_counts(page).items():
            counts[f"{worker.service} {name}"] += value
    return dict(counts)


def read_counts(page: str) -> Mapping[str, float]:
    """`page`: metrics in Prometheus' text format."""
    counts: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if (name := COUNTED.get(sample.name)) is not None:
                counts[name] += sample.value
    return counts


def _page(worker: Worker) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.health_port}/metrics", timeout=10) as answer:
        page: bytes = answer.read()
    return page.decode()
