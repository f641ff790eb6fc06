"""How far the groups are behind, as people and programs read it."""

from datetime import UTC, datetime, timedelta

from ops.lag_lines import HEADER, remarks, rows, told
from ops.lag_view import GroupLag, PartitionLag

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
HANDLED = PartitionLag("booking.commands", 0, 42, 0, 42, "10.0.0.7 c82b5e39")
WAITING = PartitionLag("booking.commands", 3, 1042, 7, 1045, "10.0.0.8 0f66aa8f", NOW - timedelta(minutes=3))
UNTOUCHED = PartitionLag("credits.events", 1, None, 2, 4, None, NOW - timedelta(hours=2))
# What the group never came to was deleted meanwhile: it goes on behind it.
DELETED = PartitionLag("replay.booking", 0, 3, 8, 9, None)


def cells(group: GroupLag, *, all_partitions: bool = False) -> list[dict[str, str]]:
    return [
        {name: cell for name, cell in zip(HEADER, row, strict=True) if cell}
        for row in rows(group, NOW, all_partitions=all_partitions)
    ]


def test_a_group_its_topics_and_the_partitions_in_which_something_waits() -> None:
    behind = GroupLag("booking", 2, (HANDLED, WAITING, UNTOUCHED, DELETED))
    assert cells(behind) == [
        {"group": "booking", "lag": "6", "oldest": "2 h", "worker": "2 workers"},
        {"group": "  booking.commands", "lag": "3", "oldest": "3 min"},
        {
            "group": "    3",
            "committed": "1042",
            "end": "1045",
            "lag": "3",
            "oldest": "3 min",
            "worker": "10.0.0.8 0f66aa8f",
        },
        {"group": "  credits.events", "lag": "2", "oldest": "2 h"},
        {"group": "    1", "committed": "none", "end": "4", "lag": "2", "oldest": "2 h", "worker": "nobody"},
        {"group": "  replay.booking", "lag": "1"},
        {"group": "    0", "committed": "3", "end": "9", "lag": "1", "worker": "nobody"},
    ]
    assert len(cells(behind, all_partitions=True)) == 8


def test_what_an_operator_has_to_do_is_said() -> None:
    assert list(remarks(GroupLag("booking", 1, (HANDLED, WAITING)))) == []
    assert list(remarks(GroupLag("booking", 0, (HANDLED,)))) == []
    assert list(remarks(GroupLag("booking", 0, (HANDLED, WAITING)))) == [
        "of booking no worker runs, and 3 records wait: start one"
    ]
    assert list(remarks(GroupLag("credits", 0, (UNTOUCHED,)))) == [
        "credits was never seen: start a worker of it with: python -m services.credits run"
    ]
    stands = PartitionLag("booking.commands", 3, 1042, 0, 1045, "10.0.0.7 c82b5e39", NOW, "UnicodeDecodeError: 0xff")
    assert list(remarks(GroupLag("booking", 1, (stands,)))) == [
        "booking stands at a record that cannot be parsed (UnicodeDecodeError: 0xff); "
        "see what can be done with: coaching dead-letters skip booking.commands 3 1042 --group booking"
    ]


def test_who_works_was_seen_though_nothing_is_committed_yet() -> None:
    assert cells(GroupLag("credits", 1, (UNTOUCHED,)))[0]["worker"] == "1 worker"
    assert cells(GroupLag("credits", 0, (UNTOUCHED,)))[0]["worker"] == "never seen"


def test_programs_are_told_every_partition() -> None:
    shown = told(GroupLag("booking", 2, (HANDLED, WAITING, UNTOUCHED, DELETED)), NOW)
    assert (shown["group"], shown["seen"], shown["workers"], shown["lag"]) == ("booking", True, 2, 6)
    assert (shown["oldest_at"], shown["oldest_seconds"]) == ("2026-11-23T08:00:00.000Z", 7200)
    commands, credits_events, _ = shown["topics"]
    assert [one["partition"] for one in commands["partitions"]] == [0, 3]
    assert commands["partitions"][0] == {
        "partition": 0,
        "committed": 42,
        "end": 42,
        "lag": 0,
        "worker": "10.0.0.7 c82b5e39",
    }
    assert "committed" not in credits_events["partitions"][0]
