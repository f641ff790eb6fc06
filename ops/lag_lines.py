"""How far the groups are behind, as people read it. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from contracts.fields import format_instant
from ops.lag_view import GroupLag, PartitionLag, oldest, total
from ops.letter_lines import plural
from ops.letters import age, topics_of
from ops.lines import span

HEADER = ("group", "committed", "end", "lag", "oldest", "worker")


def rows(group: GroupLag, now: datetime, *, all_partitions: bool) -> Iterator[Sequence[str]]:
    """In the columns of HEADER: the group, under it each topic, and under that each partition in which something waits,
    or all.
    """
    workers = plural(group.workers, "worker") if group.seen else "never seen"
    yield (group.group, "", "", str(total(group.partitions)), _age(oldest(group.partitions), now), workers)
    for topic in topics_of(group.group).values():
        partitions = group.of_topic(topic)
        yield (f"  {topic}", "", "", str(total(partitions)), _age(oldest(partitions), now), "")
        for one in partitions:
            if all_partitions or one.lag:
                yield _partition(one, now)


def remarks(group: GroupLag) -> Iterator[str]:
    """What an operator has to do something about, a sentence each."""
    waiting = total(group.partitions)
    if not group.seen:
        yield f"{group.group} was never seen: start a worker of it with: python -m services.{group.group} run"
    elif not group.workers and waiting:
        yield f"of {group.group} no worker runs, and {plural(waiting, 'record')} wait: start one"
    for one in group.partitions:
        if one.problem is not None:
            place = f"{one.topic} {one.number} {one.goes_on_at}"
            yield (
                f"{group.group} stands at a record that cannot be parsed ({one.problem}); "
                f"see what can be done with: coaching dead-letters skip {place} --group {group.group}"
            )


def told(group: GroupLag, now: datetime) -> dict[str, Any]:
    """All of it, for programs; what is not known is left out."""
    return {
        "group": group.group,
        "seen": group.seen,
        "workers": group.workers,
        "lag": total(group.partitions),
        **_told_age(oldest(group.partitions), now),
        "topics": [
            {
                "topic": topic,
                "lag": total(group.of_topic(topic)),
                **_told_age(oldest(group.of_topic(topic)), now),
                "partitions": [_told(one, now) for one in group.of_topic(topic)],
            }
            for topic in topics_of(group.group).values()
        ],
    }


def _partition(one: PartitionLag, now: datetime) -> Sequence[str]:
    committed = str(one.committed) if one.committed is not None else "none"
    return (
        f"    {one.number}",
        committed,
        str(one.end),
        str(one.lag),
        _age(one.oldest_at, now),
        one.worker or "nobody",
    )


def _told(one: PartitionLag, now: datetime) -> dict[str, Any]:
    known = {
        "partition": one.number,
        "committed": one.committed,
        "end": one.end,
        "lag": one.lag,
        "worker": one.worker,
        "problem": one.problem,
        **_told_age(one.oldest_at, now),
    }
    return {name: value for name, value in known.items() if value is not None}


def _told_age(oldest_at: datetime | None, now: datetime) -> dict[str, Any]:
    if oldest_at is None:
        return {}
    return {"oldest_at": format_instant(oldest_at), "oldest_seconds": age(oldest_at, now).total_seconds()}


def _age(oldest_at: datetime | None, now: datetime) -> str:
    return span(age(oldest_at, now)) if oldest_at is not None else ""
