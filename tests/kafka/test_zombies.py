"""Workers that live without working, on Apache Kafka: each says so and ends; those that work, or may again, are let be.

It takes up to half a minute to be sure. All of them go through it at once; the tests look at what became of each.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from sqlalchemy.engine import URL

from devstack.containers import ContainerPart
from devstack.parts import until
from messaging.exits import ExitCode
from messaging.health import ALIVE_WITHIN_SECONDS
from messaging.kafka import limits
from messaging.watchdog import MOST_WITHOUT_PROGRESS_SECONDS
from messaging.worker import HARD_STOP_SECONDS
from tests.kafka.crew import Crew, ToyWorker
from tests.kafka.load import Upstream, open_crew
from tests.messaging.bench import new_id
from tests.messaging.kafka_bench import reached

pytestmark = pytest.mark.containers

# Past every patience of the watchdog and of a stop, with some for two slow cores.
OBSERVED_SECONDS: Final = MOST_WITHOUT_PROGRESS_SECONDS + 5

# For what has a limit of its own, on a machine that does much else.
PATIENCE_SECONDS: Final = 60

BROKER_HOLDS_A_FETCH_SECONDS: Final = 0.5  # aiokafka's fetch_max_wait_ms, which is Kafka's own default

# What befalls these comes from outside, if it comes.
WITHOUT_DEFECT: Final = (
    "has lost a topic",
    "does not end its batch",
    "is idle",
    "is busy",
    "rebalances",
)

SAYS: Final = {
    "fetches no more": "the consumer no longer fetches: its fetch task has ended",
    "coordinates no more": "the consumer no longer takes part in its group: its coordination task has ended",
    "polls no more": "nobody polls the consumer any more: the subscriber's tasks have ended",
    "is refused a heartbeat": "the consumer sends no heartbeats for ",
    "waits for a fetch forever": ".commands[1] and the position has been 1 for ",
}


# Those whose end takes time show before it that they are not well.
SLOWLY: Final = {
    "is refused a heartbeat": "sends no heartbeats for",
    "waits for a fetch forever": "records wait in",
    "has lost a topic": "has no partitions for",
}


@dataclass
class Patient:
    """A worker that was well, and had answered, before anything befell it. Its commands have two partitions.

    `complaint` is what `/ready` said of the consumer, if it did.
    """

    upstream: Upstream
    worker: ToyWorker
    complaint: str = ""

    @property
    def crew(self) -> Crew:
        return self.upstream.crew


Ward = dict[str, Patient]


class KeepsPartitions(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka carries no types
    """For almost as long as a rebalance may last; whoever else is in the group waits for it."""

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        if revoked:
            await asyncio.sleep(limits.REBALANCE_TIMEOUT_SECONDS - 1)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        pass


async def rebalance_slowly(patient: Patient, at_end: AsyncExitStack) -> None:
    """A member that is slow to give up what it has joins, and then another worker."""
    crew = patient.crew
    slow = AIOKafkaConsumer(
        bootstrap_servers=crew.bootstrap_servers,
        group_id=crew.group,
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        rebalance_timeout_ms=limits.REBALANCE_TIMEOUT_SECONDS * 1000,
        enable_auto_commit=False,
    )
    slow.subscribe([crew.commands], listener=KeepsPartitions())
    at_end.push_async_callback(slow.stop)
    await slow.start()
    assert await until(patient.worker.ready, 30)
    crew.spawn_worker()


async def hold_batch(patient: Patient, held: AsyncExitStack) -> None:
    """Its batch does not end while this lasts, and another worker wants partitions."""
    counter_id = new_id()
    await held.enter_async_context(patient.crew.holding(counter_id))
    await patient.upstream.add(counter_id)
    assert await until(patient.crew.somebody_waits, 30)
    patient.crew.spawn_worker()


async def befall(ward: Ward, at_end: AsyncExitStack) -> None:
    """To each what it is named after. In the end, records wait where somebody will not fetch them."""
    for name in (*SAYS, "stands still", "hangs as it stops"):
        ward[name].worker.befall()
    ward["hangs as it stops"].worker.send(signal.SIGTERM)
    await ward["cannot parse"].upstream.add_squeezed("snappy", ward["cannot parse"].crew.key_in(0))
    await ward["has lost a topic"].crew.admin.delete_topics([ward["has lost a topic"].crew.commands])
    await rebalance_slowly(ward["rebalances"], at_end)
    # A fetch that was under way when it befell them still brings what comes while the broker holds it.
    await asyncio.sleep(2 * BROKER_HOLDS_A_FETCH_SECONDS)
    for name in (*SAYS, "cannot parse"):
        await ward[name].upstream.add(ward[name].crew.key_in(1))


async def hear_complaint(patient: Patient) -> None:
    async def complains() -> bool:
        patient.complaint = (await patient.worker.problems() or {}).get("consumer", "")
        return bool(patient.complaint)

    await until(complains, OBSERVED_SECONDS)


@pytest.fixture(scope="module")
async def ward(
    kafka: ContainerPart, toy_database: URL, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ward]:
    """All of them, once it is over."""
    async with AsyncExitStack() as at_end:

        async def admit(home: Path, **settings: str) -> Patient:
            upstream = await at_end.enter_async_context(open_crew(kafka.address, toy_database, home, partitions=2))
            worker = await upstream.crew.start_worker(**settings)
            for partition in (0, 1):
                await upstream.add(upstream.crew.key_in(partition))
            await upstream.audit()
            return Patient(upstream, worker)

        settings = {
            **{defect: {"TOY_DEFECT": defect} for defect in (*SAYS, "stands still", "hangs as it stops")},
            **{name: {} for name in WITHOUT_DEFECT},
            "cannot parse": {"TOY_LACKS_CODEC": "snappy"},
        }
        home = tmp_path_factory.mktemp("ward")
        patients = await asyncio.gather(*(admit(home, **told) for told in settings.values()))
        ward = dict(zip(settings, patients, strict=True))
        hearing = [asyncio.create_task(hear_complaint(ward[name])) for name in SLOWLY]
        async with AsyncExitStack() as held:
            await hold_batch(ward["does not end its batch"], held)
            await befall(ward, at_end)
            async with ward["is busy"].upstream.load():
                await asyncio.sleep(OBSERVED_SECONDS)
        await asyncio.gather(*hearing)
        yield ward


@pytest.mark.parametrize("state", SAYS)
async def test_a_worker_that_lives_without_consuming_ends_with_a_sentence(ward: Ward, state: str) -> None:
    zombie = ward[state].worker
    assert await zombie.wait(PATIENCE_SECONDS) == ExitCode.NOT_CONSUMING
    assert SAYS[state] in zombie.last_words()
    assert not await zombie.live()


@pytest.mark.parametrize("state", SLOWLY)
async def test_a_worker_that_may_be_one_of_those_says_so_before_it_ends(ward: Ward, state: str) -> None:
    assert SLOWLY[state] in ward[state].complaint


async def test_what_it_left_is_done_by_whoever_comes_after_it(ward: Ward) -> None:
    patient = ward["waits for a fetch forever"]
    await patient.crew.start_worker()
    await patient.upstream.audit()


async def test_a_worker_whose_topic_was_deleted_ends_and_the_next_one_waits_for_the_topic(ward: Ward) -> None:
    patient = ward["has lost a topic"]
    assert await patient.worker.wait(PATIENCE_SECONDS) == ExitCode.NOT_CONSUMING
    assert "a topic of this worker has no partitions for " in patient.worker.last_words()

    crew = patient.crew
    successor = crew.spawn_worker()
    assert await until(lambda: misses(successor, f"{crew.commands} does not exist; run: coaching topics apply"), 30)
    await crew.make_topic_of_commands()
    await patient.upstream.add(crew.key_in(0))
    await patient.upstream.audit()
    assert successor.running


async def misses(worker: ToyWorker, topic: str) -> bool:
    return (await worker.problems() or {}).get("topics") == topic


async def test_a_worker_whose_event_loop_stands_still_is_not_live(ward: Ward) -> None:
    worker = ward["stands still"].worker
    assert OBSERVED_SECONDS > ALIVE_WITHIN_SECONDS
    assert not await worker.live()
    assert "check" in (await worker.problems() or {})


async def test_a_stop_that_hangs_is_ended_in_time_and_with_its_own_code(ward: Ward) -> None:
    worker = ward["hangs as it stops"].worker
    assert OBSERVED_SECONDS > HARD_STOP_SECONDS
    assert await worker.wait(PATIENCE_SECONDS) == ExitCode.STOP_TOO_LONG
    assert worker.last_words() == "the stop took longer than 25 s"


async def test_a_batch_that_runs_on_after_its_partitions_are_wanted_ends_its_worker_and_is_done_by_another(
    ward: Ward,
) -> None:
    patient = ward["does not end its batch"]
    assert await patient.worker.wait(PATIENCE_SECONDS) == ExitCode.REVOKE_TOO_LONG
    assert patient.worker.last_words() == "a batch ran on for 12 s after its partitions were revoked"
    (second,) = (worker for worker in patient.crew.workers if worker is not patient.worker)
    await reached(lambda: second.owned() == 3, PATIENCE_SECONDS)
    await patient.upstream.audit()


@pytest.mark.parametrize("state", ["is idle", "is busy", "rebalances"])
async def test_a_worker_that_works_or_may_work_again_is_let_be(ward: Ward, state: str) -> None:
    patient = ward[state]
    for worker in patient.crew.workers:
        assert await until(worker.ready, 30), (await worker.problems(), worker.last_words())
        assert await worker.live()
    await patient.upstream.audit()


async def test_a_worker_that_lacks_a_codec_says_so_goes_on_elsewhere_and_loses_nothing(ward: Ward) -> None:
    patient = ward["cannot parse"]
    crew, worker = patient.crew, patient.worker
    assert worker.running
    assert await worker.live()
    (complaint,) = (await worker.problems() or {}).values()
    assert complaint.startswith(f"cannot be parsed: {crew.commands}[0]@1;")
    (told,) = worker.said("record.unparsed")
    assert "snappy compression codec not found" in told["error"]
    assert len(patient.upstream.answered()) == 3

    assert await worker.stop() == ExitCode.DONE
    await crew.start_worker()
    await patient.upstream.audit()
