"""Three brokers of which one is lost at a time, under load: nothing is lost, nothing happens twice, the order holds."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from devstack.cluster import BROKERS, KafkaCluster
from devstack.containers import ContainerPart
from devstack.parts import until
from ops.cluster import Cluster
from tests.kafka.crew import ToyWorker
from tests.kafka.load import Upstream

pytestmark = pytest.mark.containers

# A JVM starts, finds its controllers, and fetches what it has missed.
IN_SYNC_WITHIN_SECONDS = 120


@pytest.fixture
async def brokers(cluster: KafkaCluster) -> AsyncIterator[Sequence[ContainerPart]]:
    """All of them there again afterwards."""
    yield cluster.brokers
    for broker in cluster.brokers:
        if not await broker.healthy():
            await broker.start()


async def in_sync(admin: AIOKafkaAdminClient, topic: str) -> None:
    """Returns when each replica of the topic has all that its leader has."""

    async def all_are() -> bool:
        (described,) = await admin.describe_topics([topic])
        return all(len(partition["isr"]) == BROKERS for partition in described["partitions"])

    assert await until(all_are, IN_SYNC_WITHIN_SECONDS)


async def leader_of(upstream: Upstream, topic: str) -> int:
    """Its node id, of the first partition."""
    (described,) = await upstream.crew.admin.describe_topics([topic])
    return int(next(one["leader"] for one in described["partitions"] if one["partition"] == 0))


async def two_working(upstream: Upstream) -> list[ToyWorker]:
    workers = [await upstream.crew.start_worker() for _ in range(2)]
    await in_sync(upstream.crew.admin, upstream.crew.commands)
    return workers


async def assert_all_well(upstream: Upstream, workers: Sequence[ToyWorker]) -> None:
    """By the audit; and nobody had to end for it."""
    await upstream.audit()
    for worker in workers:
        assert await until(worker.ready, 60), (worker.exit_code, worker.last_words(), await worker.problems())


def apply_topics(bootstrap_servers: str) -> str:
    """What `coaching topics apply` says."""
    told = ("--replication", "3", "--partitions", "1", "--bootstrap-servers", bootstrap_servers)
    command = (sys.executable, "-m", "ops", "topics", "apply", *told)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=90).stdout


async def test_topics_on_three_brokers_need_two_of_them_for_every_record(cluster: KafkaCluster) -> None:
    assert "Done. All " in await asyncio.to_thread(apply_topics, cluster.address)
    assert (await asyncio.to_thread(apply_topics, cluster.address)).startswith("All ")
    async with Cluster(cluster.address, timeout_seconds=30) as looked_at:
        found = (await looked_at.find(["booking.commands"]))["booking.commands"]
    assert (found.replication, found.own["min.insync.replicas"]) == (BROKERS, "2")


async def test_a_leader_that_is_lost_under_load_is_replaced_by_another(
    brokers: Sequence[ContainerPart], cluster_upstream: Upstream
) -> None:
    upstream = cluster_upstream
    workers = await two_working(upstream)
    async with upstream.load():
        await upstream.hears(100)
        leader = await leader_of(upstream, upstream.crew.commands)
        await brokers[leader - 1].kill()
        await upstream.hears(200)
    await assert_all_well(upstream, workers)

    async def another_leads() -> bool:
        with suppress(KafkaError):  # the client may still ask the one that is gone
            return await leader_of(upstream, upstream.crew.commands) != leader
        return False

    assert await until(another_leads, IN_SYNC_WITHIN_SECONDS)


async def test_a_group_whose_coordinator_is_lost_goes_on_with_another(
    brokers: Sequence[ContainerPart], cluster_upstream: Upstream
) -> None:
    upstream = cluster_upstream
    crew = upstream.crew
    workers = await two_working(upstream)
    async with upstream.load():
        await upstream.hears(100)
        coordinator = await crew.admin.find_coordinator(crew.group)
        await brokers[coordinator - 1].kill()
        # What is handled last is not committed at once: that is given up before there is another coordinator.
        await upstream.hears(20)

    async def another_coordinates() -> bool:
        with suppress(KafkaError):  # the client may still ask the one that is gone
            return bool(await crew.admin.find_coordinator(crew.group) != coordinator)
        return False

    assert await until(another_coordinates, IN_SYNC_WITHIN_SECONDS)

    async def all_committed() -> bool:
        # An upstream that was not told that its record was taken has sent it twice.
        return await crew.committed() == await upstream.appended()

    await upstream.audit()
    assert await until(all_committed, 30), (await crew.committed(), await upstream.appended())
    async with upstream.load():
        await upstream.hears(100)
    await assert_all_well(upstream, workers)


@pytest.mark.timeout(900)
async def test_brokers_are_restarted_one_by_one_under_load(
    brokers: Sequence[ContainerPart], cluster_upstream: Upstream
) -> None:
    upstream = cluster_upstream
    workers = await two_working(upstream)
    async with upstream.load():
        for broker in brokers:
            await upstream.hears(50)
            await broker.end()
            await broker.start()
            await in_sync(upstream.crew.admin, upstream.crew.commands)
        await upstream.hears(50)
    await assert_all_well(upstream, workers)
