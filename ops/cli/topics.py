"""`coaching topics plan | apply`."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from contracts.topics import PARTITIONS, TOPICS
from ops import topics
from ops.cli.options import LOOKING_BY_DEFAULT, Flag, Looking, Servers, servers
from ops.cli.terminal import say, say_json, say_table, waiting
from ops.errors import Exit
from ops.topic_plan import Difference

_PLAN = "Example: coaching topics plan --bootstrap-servers 127.0.0.1:9092"
_APPLY = "Example: coaching topics apply --bootstrap-servers 127.0.0.1:9092 --replication 1"

app = App("topics", help="What the cluster's topics are, against what the contracts say.", help_epilogue=_PLAN)

_AS_THEY_SHOULD_BE = f"All {len(TOPICS)} topics are as the contracts say."
_ABOUT_GROWING = (
    "More partitions send most keys to another partition: what is there already and what comes then of one key may be "
    "read in any order. Stop what writes, let every group come to lag 0, and only then: coaching topics apply --grow"
)
_ABOUT_REPLICAS = "Replicas are moved with Kafka's own kafka-reassign-partitions.sh."


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the topics should have."""

    bootstrap_servers: Servers = None

    replication: Annotated[
        int | None,
        Parameter(validator=Number(gte=1), help="Replicas of each partition; 3 where there are three brokers, else 1."),
    ] = None

    partitions: Annotated[int, Parameter(validator=Number(gte=1), help="Partitions of each topic.")] = PARTITIONS


_BY_DEFAULT = Wanted()


@app.command(help_epilogue=_PLAN)
async def plan(wanted: Wanted = _BY_DEFAULT, looking: Looking = LOOKING_BY_DEFAULT) -> int:
    """Show what differs, and change nothing. Exit code 1 when something does."""
    with nullcontext() if looking.json else waiting("Kafka"):
        differing = await topics.plan(
            servers(wanted.bootstrap_servers),
            replication=wanted.replication,
            partitions=wanted.partitions,
            timeout_seconds=looking.timeout,
        )
    if looking.json:
        _tell_programs("differs", differing)
        _conclude(differing)
    elif differing:
        _show(differing)
        _explain(differing)
    else:
        say(_AS_THEY_SHOULD_BE)
    return Exit.NO if differing else Exit.DONE


@app.command(help_epilogue=_APPLY)
async def apply(
    wanted: Wanted = _BY_DEFAULT,
    *,
    grow: Annotated[Flag, Parameter(help="Add partitions, too: that changes the order per key.")] = False,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    """Create the topics that are missing, and correct the settings of those that are there. Safe to run again."""
    with nullcontext() if looking.json else waiting("Kafka"):
        applied = await topics.apply(
            servers(wanted.bootstrap_servers),
            replication=wanted.replication,
            partitions=wanted.partitions,
            grow=grow,
            timeout_seconds=looking.timeout,
        )
    if looking.json:
        _tell_programs("changed", applied.changed)
        _tell_programs("left", applied.left)
        _conclude(applied.left)
    else:
        _tell_people(applied)
    return Exit.DONE


def _tell_people(applied: topics.Applied) -> None:
    if applied.changed:
        _show(applied.changed)
    if applied.left:
        say("Left as it is:")
        _show(applied.left)
        _explain(applied.left)
    elif applied.changed:
        say(f"Done. {_AS_THEY_SHOULD_BE}")
    else:
        say(_AS_THEY_SHOULD_BE)


def _tell_programs(what: str, differing: Sequence[Difference]) -> None:
    for one in differing:
        say_json({what: asdict(one)})


def _conclude(differing: Sequence[Difference]) -> None:
    """`differing` is what is not as it should be in the end."""
    say_json({"concluded": {"outcome": "differs" if differing else "as_it_should_be", "topics": len(TOPICS)}})


def _show(differing: Sequence[Difference]) -> None:
    say_table([(one.topic, one.setting, f"{one.found} → {one.wanted}") for one in differing])


def _explain(differing: Sequence[Difference]) -> None:
    remedies = {one.remedy for one in differing}
    if "grow" in remedies:
        say(_ABOUT_GROWING)
    if "by hand" in remedies:
        say(_ABOUT_REPLICAS)
