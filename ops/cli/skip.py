"""`coaching dead-letters skip`: past a record that cannot be parsed."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from contracts.topics import GROUPS, Group
from messaging.records import Outgoing, Place
from ops import skipping
from ops.cli.options import LOOKING_BY_DEFAULT, Flag, Looking, Servers, servers
from ops.cli.terminal import complain, say, say_facts, say_json, waiting
from ops.cluster import Cluster
from ops.errors import BadUsage, Exit
from ops.letter_lines import octets, plural
from ops.letters import topics_of
from ops.log_reader import LogReader
from ops.places import address
from ops.skipping import ERROR_CLASS, Skip

Outcome = Literal["dry_run", "workers_running", "worker_came_back", "done"]


async def skip(
    topic: Annotated[str, Parameter(help="The topic.")],
    partition: Annotated[int, Parameter(validator=Number(gte=0), help="The partition's number.")],
    offset: Annotated[int, Parameter(validator=Number(gte=0), help="Where the group stands.")],
    /,
    *,
    group: Annotated[Group | None, Parameter(help="Which group, where several read the topic.")] = None,
    yes: Annotated[Flag, Parameter(help="Do it; otherwise it is only shown what would be done.")] = False,
    bootstrap_servers: Servers = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    """Go past a record that cannot be parsed and at which a partition stands.

    What can be read of it is kept as a dead letter. Stop the group's workers first and start them again afterwards:
    while they run, nobody else can move their group. A record that can be parsed is not skipped, nor any but the one
    at which the group stands.
    """
    of, place, kafka = _group(topic, group), Place(topic, partition, offset), servers(bootstrap_servers)
    with nullcontext() if looking.json else waiting("Kafka"):
        async with (
            LogReader(kafka, [topic], timeout_seconds=looking.timeout) as reader,
            Cluster(kafka, timeout_seconds=looking.timeout) as cluster,
        ):
            if (topic, partition) not in reader.partitions(topic):
                raise BadUsage(f"{topic} has no partition {partition}; see its partitions with: coaching lag --all")
            planned = await skipping.plan(cluster, reader, of, place)
            workers = await skipping.workers(cluster, of)
            outcome: Outcome = "workers_running" if yes and workers else "dry_run"
            if yes and not workers:
                outcome = "done" if await skipping.carry_out(cluster, kafka, planned) else "worker_came_back"
    (_tell_programs if looking.json else _tell_people)(planned, outcome, workers)
    return Exit.DONE if outcome in ("done", "dry_run") else Exit.NO


def _group(topic: str, given: Group | None) -> Group:
    """Raises BadUsage unless it is clear which."""
    readers = [group for group in GROUPS if topic in topics_of(group).values()]
    if given is not None and given not in readers:
        raise BadUsage(f"{given} does not read {topic}; it is read by {', '.join(readers) or 'no group'}")
    if given is None and len(readers) != 1:
        what = f"say which with --group: {', '.join(readers)}" if readers else "no group does"
        raise BadUsage(f"which group reads {topic}? {what}")
    return given or readers[0]


def _tell_people(planned: Skip, outcome: Outcome, workers: int) -> None:
    group = planned.group
    running = f"{workers} worker{' is' if workers == 1 else 's are'} running"
    say_facts(
        [
            ("record", address(planned.place)),
            ("why", planned.why),
            ("kept", _kept(planned.letters)),
            ("then", f"{group} goes on at {planned.goes_on_at}"),
        ]
    )
    match outcome:
        case "dry_run":
            stop = f"Stop the workers of {group} first ({running}), then do" if workers else "Do"
            say(f"This was a dry run. {stop} it with --yes, and start the workers of {group} again.")
        case "done":
            say(
                f"Done. Start the workers of {group} again, and see what was kept with: "
                f"coaching dead-letters list --group {group} --class {ERROR_CLASS}"
            )
        case "workers_running":
            complain(
                f"nothing was done, since of {group} {running}: stop them, ask again, and start them again; while they "
                "run, Kafka lets nobody else move their group (one that was killed counts for its last 6 s)"
            )
        case "worker_came_back":
            complain(
                f"{plural(len(planned.letters), 'letter')} written, but a worker of {group} has started meanwhile and "
                f"nobody else can move the group: stop it, then ask again; what is written twice is listed once"
            )


def _kept(letters: Sequence[Outgoing]) -> str:
    first, size = letters[0], sum(len(letter.value or b"") for letter in letters)
    key = f", key {octets(first.key)}" if len(letters) == 1 else ""
    return f"{plural(len(letters), 'letter')} on {first.topic}{key}, {plural(size, 'byte')} of values"


def _tell_programs(planned: Skip, outcome: Outcome, workers: int) -> None:
    told = {
        "group": planned.group,
        "record": address(planned.place),
        "why": planned.why,
        "letters": [{"topic": letter.topic, "bytes": len(letter.value or b"")} for letter in planned.letters],
        "goes_on_at": planned.goes_on_at,
    }
    say_json({"skip": told})
    say_json({"concluded": {"outcome": outcome, "workers": workers}})
