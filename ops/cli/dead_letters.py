"""`coaching dead-letters list | show | replay | skip`."""

import base64
import sys
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from contracts.fields import format_instant
from messaging.records import Record
from ops.cli.options import ALL_LETTERS, LOOKING_BY_DEFAULT, Flag, Looking, Selection, Servers, servers, source_topic
from ops.cli.replay import replay
from ops.cli.skip import skip
from ops.cli.terminal import complain, in_silence, progress, say, say_as_it_is, say_facts, say_json, say_table
from ops.errors import BadUsage, Exit
from ops.letter_box import LetterBox
from ops.letter_lines import HEADER, as_text, content, facts, plural, row, summary, told
from ops.letters import GROUP_OF, Case, counts, read_letter, topics_of
from ops.lines import when
from ops.places import address, read_place
from ops.spoken import read_since

_LIST: Final = "Example: coaching dead-letters list --group booking --since 12h"
_SHOW: Final = "Example: coaching dead-letters show dlq.booking.booking.commands:3:17"
_REPLAY: Final = "Example: coaching dead-letters replay --group booking --class ZeroDivisionError"
_SKIP: Final = "Example: coaching dead-letters skip booking.commands 3 1042"

app = App(
    "dead-letters",
    help="What could not be read or handled, and why; put it back after a fix, or past what cannot even be parsed.",
    help_epilogue=_LIST,
)
app.command(replay, help_epilogue=_REPLAY)
app.command(skip, help_epilogue=_SKIP)


@app.command(name="list", help_epilogue=_LIST)
async def list_(
    selection: Selection = ALL_LETTERS,
    *,
    all_: Annotated[Flag, Parameter(name="--all", help="Those that were handled since as well.")] = False,
    bootstrap_servers: Servers = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    """List dead letters, one line a message, without their content. See one whole with show."""
    kafka, now = servers(bootstrap_servers), datetime.now(UTC)
    topic, begin = source_topic(selection.topic, selection.groups), read_since(selection.since, now)
    with nullcontext(in_silence) if looking.json else progress("reading the dead letters") as on_progress:
        async with LetterBox(kafka, selection.groups, timeout_seconds=looking.timeout) as box:
            found = await box.cases(since=begin, topic=topic, on_progress=on_progress)
    found = [case for case in found if selection.takes(case)]
    shown = [case for case in found if all_ or case.state != "handled"]
    (_list_to_programs if looking.json else _list_to_people)(shown, found, begin, now)
    return Exit.DONE


def _list_to_people(shown: list[Case], found: list[Case], since: datetime, now: datetime) -> None:
    counted, hidden = counts(found), len(found) - len(shown)
    if shown:
        say_table([HEADER, *map(row, shown)])
        say("")
    if counted:
        say_table(list(summary(counted, now)))
        say(f"See one with: coaching dead-letters show {address(shown[-1].letter.place)}", style="dim")
    else:
        say(f"Nothing waits among the dead letters since {when(since)}.")
    if hidden:
        say(f"{plural(hidden, 'more letter')} of messages that were replayed and handled since: see them with --all")


def _list_to_programs(shown: list[Case], found: list[Case], since: datetime, _now: datetime) -> None:
    for case in shown:
        say_json({"letter": told(case)})
    counted = [{"group": count.group, "class": count.error_class, "letters": count.letters} for count in counts(found)]
    say_json({"concluded": {"outcome": "found", "since": format_instant(since), "not_handled": counted}})


@app.command(help_epilogue=_SHOW)
async def show(
    letter: Annotated[str, Parameter(help="As it is listed: TOPIC:PARTITION:OFFSET.")],
    /,
    *,
    raw: Annotated[Flag, Parameter(help="The value alone, byte by byte: nothing is decoded or added.")] = False,
    bootstrap_servers: Servers = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    """Show one dead letter whole: where it came from, why it died, its headers and its content."""
    place, kafka = read_place(letter), servers(bootstrap_servers)
    group = GROUP_OF.get(place.topic)
    if group is None:
        raise BadUsage(f"{place.topic} is no topic of dead letters; see them with: coaching dead-letters list")
    if raw and looking.json:
        raise BadUsage("--raw are bytes and --json is text; give one of the two")
    with nullcontext(in_silence) if looking.json or raw else progress("reading the dead letters") as on_progress:
        async with LetterBox(kafka, [group], timeout_seconds=looking.timeout) as box:
            record = await box.read(place)
            source = topics_of(group)[place.topic]
            found = [] if record is None or raw else await box.cases(topic=source, on_progress=on_progress)
    if record is None:
        complain(f"there is no letter at {address(place)} to be read; see what is: coaching dead-letters list")
        return Exit.NO
    if raw:
        sys.stdout.buffer.write(record.value or b"")
        return Exit.DONE
    case = next(case for case in found if place in case.places)
    (_show_to_programs if looking.json else _show_to_people)(case, record)
    return Exit.DONE


def _show_to_people(case: Case, record: Record) -> None:
    say_facts(facts(case, record))
    say("value", style="dim")
    for line in content(record.value):
        say_as_it_is(line)


def _show_to_programs(case: Case, record: Record) -> None:
    headers = [{"name": name, **_octets("value", value)} for name, value in record.headers]
    shown = told(replace(case, letter=read_letter(record)))
    newest = address(case.letter.place)
    say_json({"letter": {**shown, "newest": newest, "headers": headers, **_octets("value", record.value)}})


def _octets(name: str, value: bytes | None) -> dict[str, Any]:
    """Text under the name itself, and what is no text under another."""
    text = as_text(value) if value is not None else None
    if value is None or text is not None:
        return {name: text}
    return {f"{name}_base64": base64.b64encode(value).decode()}
