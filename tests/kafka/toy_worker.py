"""A worker of a toy group, as a process: `python -m tests.kafka.toy_worker run`; TOY_GROUP names the group.

What can befall a worker from outside, the tests do from outside. TOY_DEFECT is for what befalls the Kafka client within
while the process lives on; it comes with SIGUSR1.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Never

from aiokafka import codec
from aiokafka.errors import KafkaError

from messaging.entry import Service, main
from messaging.kafka.consumer import Consumer
from messaging.settings import ServiceSettings
from messaging.worker import Worker
from tests.messaging.toy import Message, ToyHandler, ToyTopic
from tests.messaging.toy_service import MIGRATIONS

OUTPUTS: Final = ("toy.counts", "toy.replies")


class Settings(ServiceSettings):
    toy_group: str
    toy_defect: str = ""
    toy_lacks_codec: str = ""


def commands_of(group: str) -> ToyTopic:
    return ToyTopic(f"{group}.commands", ("toy.Add.v1", "toy.Divide.v1", "toy.Await.v1"), commands=True)


def make_worker(settings: Settings) -> Worker[Message]:
    group = settings.toy_group
    worker = Worker(settings.for_worker(group, MIGRATIONS), [commands_of(group)], OUTPUTS, ToyHandler)
    if settings.toy_lacks_codec:
        setattr(codec, f"has_{settings.toy_lacks_codec}", lambda: False)
    if settings.toy_defect:
        befall = DEFECTS[settings.toy_defect]
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: befall(worker._started_consumer()))
    return worker


def _aiokafka(consumer: Consumer) -> Any:
    return consumer._subscriber.consumer


def _fetches_no_more(consumer: Consumer) -> None:
    _aiokafka(consumer)._fetcher._fetch_task.cancel()


def _coordinates_no_more(consumer: Consumer) -> None:
    _aiokafka(consumer)._coordinator._coordination_task.cancel()


def _polls_no_more(consumer: Consumer) -> None:
    for task in consumer._subscriber.tasks:
        task.cancel()


def _is_refused_a_heartbeat(consumer: Consumer) -> None:
    """By an answer that aiokafka has no way to go on from: its heartbeats end with what it raises then."""

    async def refused() -> Never:
        raise KafkaError("Unexpected exception in heartbeat task")

    _aiokafka(consumer)._coordinator._do_heartbeat = refused


def _waits_for_a_fetch_forever(consumer: Consumer) -> None:
    async def never_answered(*_: object) -> bool:
        await asyncio.Event().wait()
        return False

    _aiokafka(consumer)._fetcher._proc_fetch_request = never_answered


def _stands_still(_: Consumer) -> None:
    time.sleep(3600)


def _hangs_as_it_stops(consumer: Consumer) -> None:
    consumer.stop = lambda: time.sleep(3600)  # type: ignore[assignment, return-value]  # it never returns


DEFECTS: Final[dict[str, Callable[[Consumer], None]]] = {
    "fetches no more": _fetches_no_more,
    "coordinates no more": _coordinates_no_more,
    "polls no more": _polls_no_more,
    "is refused a heartbeat": _is_refused_a_heartbeat,
    "waits for a fetch forever": _waits_for_a_fetch_forever,
    "stands still": _stands_still,
    "hangs as it stops": _hangs_as_it_stops,
}

if __name__ == "__main__":
    sys.exit(main(Service("toy", Settings, MIGRATIONS, make_worker), sys.argv[1:]))
