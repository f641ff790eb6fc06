"""A record that cannot be parsed: its worker says so, and who is on duty has the group go on behind it."""

import asyncio
import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from contracts.topics import PARTITIONS
from devstack.containers import ContainerPart
from devstack.parts import until
from messaging.kafka.publisher import partition_of
from messaging.records import Place
from ops import groups, skipping
from ops.cluster import Cluster
from tests.messaging.unparsable import SHOWN, Content, send, unparsable
from tests.ops.desk import Asked, Desk, Worker, headers, new_command, told
from tests.ops.json_lines import kept
from tests.ops.typed import Run

COMMANDS = "booking.commands"


@pytest.fixture(autouse=True)
def at_the_desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", desk.kafka)


def good(asked: Asked) -> Content:
    return asked.key, asked.value, headers(asked.command_id)


def bad(asked: Asked) -> Content:
    return unparsable(*good(asked))


async def lie(desk: Desk, partition: int, *contents: Content) -> int:
    """In one producer batch, where the broker can stamp that; the offset of the first."""
    if isinstance(desk.broker, ContainerPart):
        return await send(desk.kafka, COMMANDS, contents, partition=partition)
    # The development broker leaves a batch as it is that it cannot parse itself: then its time is the producer's.
    base, *_ = [await send(desk.kafka, COMMANDS, [one], partition=partition) for one in contents]
    return base


async def skip(run: Run, partition: int, offset: int, *options: str) -> tuple[int, str, str]:
    return await run("dead-letters", "skip", COMMANDS, str(partition), str(offset), *options)


async def goes_on_at(desk: Desk, partition: int) -> int:
    async with Cluster(desk.kafka, timeout_seconds=10) as cluster:
        return (await groups.committed(cluster, "booking")).get((COMMANDS, partition), 0)


async def stands(worker: Worker, place: Place) -> None:
    async def says_so() -> bool:
        told = await worker.readiness()
        return told.get("records") == f"cannot be parsed: {place}; see: coaching dead-letters skip --help"

    assert await until(says_so, 30), await worker.readiness()


def metric(worker: Worker, name: str) -> str:
    connection = HTTPConnection(urlsplit(worker.health).netloc, timeout=5)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    return next(line.split()[-1] for line in lines if line.startswith(f'{name}{{group="booking"}}'))


async def lag_of(run: Run, partition: int) -> dict[str, Any]:
    _, out, _ = await run("lag", "--group", "booking", "--json")
    topics = {topic["topic"]: topic for topic in json.loads(out)["lag"]["topics"]}
    found: dict[str, Any] = topics[COMMANDS]["partitions"][partition]
    return found


async def test_a_partition_that_stands_at_a_record_goes_on_behind_it_and_the_record_is_kept(
    run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, broken, last, elsewhere = (new_command() for _ in range(4))
    partition = partition_of(broken.key, PARTITIONS)
    async with desk.worker() as worker:
        base = await lie(desk, partition, good(first), bad(broken), good(last))
        place = Place(COMMANDS, partition, base + 1)
        await stands(worker, place)
        assert metric(worker, "coaching_unparsed_records") == "1.0"
        await send(desk.kafka, COMMANDS, [good(elsewhere)], partition=(partition + 1) % PARTITIONS)
        await desk.answered(elsewhere)
        await desk.answered(first)

        waits = await lag_of(run, partition)
        assert (waits["committed"], waits["lag"]) == (base + 1, 2)
        assert waits["problem"].startswith("UnicodeDecodeError: ")
        assert waits["worker"]

        # While a worker runs, nobody else can move its group, and who tries is told so before and after.
        exit_code, out, err = await skip(run, *place[1:], "--yes")
        assert exit_code == 1
        assert err.startswith("nothing was done, since of booking 1 worker is running: stop them, ask again, and ")
        monkeypatch.setattr(skipping, "workers", nobody)
        exit_code, _, err = await skip(run, *place[1:], "--yes")
        assert exit_code == 1
        assert err.startswith("1 letter written, but a worker of booking has started meanwhile")
        monkeypatch.undo()
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", desk.kafka)
        assert await goes_on_at(desk, partition) == place.offset

    for offset in (base, base + 2):
        exit_code, _, err = await skip(run, partition, offset, "--yes")
        assert (exit_code, err) == (
            1,
            f"booking goes on at {COMMANDS} {partition} {place.offset}, not at {offset}; "
            "see where it stands with: coaching lag\n",
        )
    exit_code, out, err = await skip(run, *place[1:])
    assert (exit_code, err) == (0, "")
    assert f"then     booking goes on at {base + 2}\nThis was a dry run. Do it with --yes, and start the" in out
    assert await goes_on_at(desk, partition) == place.offset
    skipped, concluded = kept("dead-letters skip", (await skip(run, *place[1:], "--json"))[1])
    assert (skipped["skip"]["goes_on_at"], concluded["concluded"]["outcome"]) == (base + 2, "dry_run")
    exit_code, out, err = await skip(run, *place[1:], "--yes")
    assert (exit_code, err) == (0, "")
    assert await goes_on_at(desk, partition) == base + 2
    exit_code, _, err = await skip(run, partition, base + 2, "--yes")
    assert exit_code == 1
    assert err.startswith(f"{COMMANDS}:{partition}:{base + 2} can be parsed, and booking handles it or makes it a ")

    async with desk.worker() as worker:
        await desk.answered(last)
        assert await until(worker.is_ready, 20)
        assert metric(worker, "coaching_unparsed_records") == "0.0"
        # It was written twice, above, and is listed once; whole, as far as it can be read, it can be put back.
        _, out, _ = await run("dead-letters", "list", "--group", "booking", "--class", "Unparsed")
        (line,) = [line for line in out.splitlines() if broken.session_id in line]
        assert f"  {COMMANDS}:{partition}:{place.offset}  " in line
        await puts_back(run, desk, line.split()[0], broken)


async def puts_back(run: Run, desk: Desk, letter: str, broken: Asked) -> None:
    exit_code, out, err = await run("dead-letters", "replay", letter, "--yes")
    if not isinstance(desk.broker, ContainerPart):
        # There its time is the producer's, by which nobody is judged.
        assert (exit_code, err.startswith(f"{letter} is left out: booking would not take it: ")) == (0, True)
        return
    assert exit_code == 0
    assert "  answered  SessionRequested (" in out
    (replayed,) = [one for one in await desk.all_of("replay.booking") if told(one, "ce_id") == broken.command_id]
    assert (replayed.key, replayed.value) == (broken.key, broken.value)
    assert dict(replayed.headers)[SHOWN] == b"1"


async def nobody(*_: object) -> int:
    return 0


async def alter(desk: Desk, partition: int, before: str, after: str) -> None:
    """What a failing disk does."""
    assert isinstance(desk.broker, ContainerPart)
    script = (
        f"file=$(find / -path '*/{COMMANDS}-{partition}/*.log' 2>/dev/null); "
        f"at=$(grep -obUa '{before}' $file | cut -d: -f1); "
        f"printf '{after}' | dd of=$file bs=1 seek=$at conv=notrunc"
    )
    exit_code, said = await asyncio.to_thread(desk.broker.container.exec, ["sh", "-c", script])
    assert exit_code == 0, said


@pytest.mark.parametrize("desk", [pytest.param("container", marks=pytest.mark.containers)], indirect=True)
async def test_of_a_batch_whose_bytes_were_altered_all_that_can_be_read_is_kept(run: Run, desk: Desk) -> None:
    before, after = f"Is {uuid4()}", f"Is {uuid4()}"
    one, altered, other, behind = new_command(), new_command(before), new_command(), new_command()
    partition = partition_of(one.key, PARTITIONS)
    base = await send(desk.kafka, COMMANDS, [good(one), good(altered), good(other)], partition=partition)
    await send(desk.kafka, COMMANDS, [good(behind)], partition=partition)
    async with Cluster(desk.kafka, timeout_seconds=10) as cluster:
        assert await groups.commit(cluster, "booking", Place(COMMANDS, partition, base))
    await alter(desk, partition, before, after)

    async with desk.worker() as worker:
        await stands(worker, Place(COMMANDS, partition, base))
    exit_code, out, err = await skip(run, partition, base, "--yes")
    assert (exit_code, err) == (0, "")
    assert "why      its batch cannot be read: its checksum is wrong: bytes of it were altered\n" in out
    assert "kept     3 letters on dlq.booking.booking.commands, " in out
    assert f"then     booking goes on at {base + 3}\n" in out
    async with desk.worker() as worker:
        await desk.answered(behind)
        assert await until(worker.is_ready, 20)
        (letter,) = await desk.dead(one)
        exit_code, out, _ = await run("dead-letters", "replay", letter, "--yes")
        assert (exit_code, "answered" in out) == (0, True)
    kept = {letter.key: letter.value for letter in await desk.all_of("dlq.booking.booking.commands")}
    assert kept[altered.key] == altered.value.replace(before.encode(), after.encode())
    assert kept[other.key] == other.value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("booking.replies", "0", "0"), "which group reads booking.replies? no group does"),
        (("booking.events", "0", "0"), "which group reads booking.events? say which with --group: credits, notifier"),
        ((COMMANDS, "0", "0", "--group", "credits"), "credits does not read booking.commands; it is read by booking"),
        ((COMMANDS, "99", "0"), "booking.commands has no partition 99; see its partitions with: coaching lag --all"),
    ],
)
async def test_what_cannot_be_skipped_so_is_told(run: Run, words: tuple[str, ...], said: str) -> None:
    assert await run("dead-letters", "skip", *words) == (2, "", f"{said}\n")


async def test_at_the_end_of_a_partition_there_is_nothing_to_skip(run: Run) -> None:
    exit_code, out, err = await run("dead-letters", "skip", "replay.notifier", "0", "0", "--yes")
    assert (exit_code, out) == (1, "")
    assert err == "notifier is at the end of replay.notifier 0: there is nothing to skip\n"
