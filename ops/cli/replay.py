"""`coaching dead-letters replay`: puts letters back, and tells what comes of each."""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack, nullcontext
from datetime import UTC, datetime
from typing import Annotated, Final, Protocol

from cyclopts import Parameter

from contracts.topics import GROUPS, Group, replay_topic
from messaging.records import Place
from ops.cli.options import ALL_LETTERS, LOOKING_BY_DEFAULT, Flag, Looking, Selection, Servers, servers, source_topic
from ops.cli.terminal import complain, in_silence, progress, say, say_json, say_table, waiting
from ops.errors import BadUsage, ClusterRefused, Exit
from ops.letter_box import LetterBox
from ops.letter_lines import HEADER, outcome_line, plural, row, state, told, told_outcome
from ops.letters import GROUP_OF, Case, Outcome
from ops.places import EPOCH, address, read_place
from ops.replaying import Replaying
from ops.spoken import read_since

_OUTCOMES: Final = {Exit.DONE: "done", Exit.NO: "died_again", Exit.NO_ANSWER: "unanswered"}


class Voice(Protocol):
    """Who tells what happens."""

    def left_out(self, case: Case) -> None: ...

    def would_replay(self, cases: Sequence[Case]) -> None: ...

    def heard(self, outcome: Outcome) -> None: ...

    def concluded(self, outcomes: Sequence[Outcome], left: Sequence[Case], absent: Collection[Group]) -> None:
        """`left` were not sent; in `absent` is nobody who could answer."""


async def replay(
    *letters: Annotated[str, Parameter(help="As they are listed: TOPIC:PARTITION:OFFSET; or else give --group.")],
    selection: Selection = ALL_LETTERS,
    yes: Annotated[Flag, Parameter(help="Do it; otherwise it is only shown what would be done.")] = False,
    bootstrap_servers: Servers = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    """Put dead letters back before their group, after a fix, and follow each until it is handled or died again.

    They keep their ids and are judged by when they were first appended. One that was handled since is left out, and one
    that is on its way is not sent again: asking twice does nothing twice.
    """
    places = [read_place(letter) for letter in letters]
    groups, kafka = _groups(places, selection), servers(bootstrap_servers)
    voice: Voice = _ForPrograms() if looking.json else _ForPeople(looking.timeout)
    async with AsyncExitStack() as stack:
        with nullcontext() if looking.json else waiting("Kafka"):
            box = await stack.enter_async_context(LetterBox(kafka, groups, timeout_seconds=looking.timeout))
            # Opened before the letters are read: whatever is said of one of them from then on is heard.
            replaying = Replaying(kafka, groups, box, timeout_seconds=looking.timeout)
            if yes:
                await stack.enter_async_context(replaying)
        cases = _to_replay(await _find(box, places, selection, as_json=looking.json), voice)
        if not yes:
            voice.would_replay(cases)
            return Exit.DONE
        return await _carry_out(replaying, cases, voice, as_json=looking.json)


def _groups(places: Sequence[Place], selection: Selection) -> tuple[Group, ...]:
    """Whose letters are asked for. Raises BadUsage unless it is just one of places and a group."""
    if bool(places) == (selection.group is not None):
        raise BadUsage("which letters? Give either their places, as they are listed, or --group")
    for place in places:
        if place.topic not in GROUP_OF:
            raise BadUsage(f"{place.topic} is no topic of dead letters; see them with: coaching dead-letters list")
    named = {GROUP_OF[place.topic] for place in places}
    return tuple(group for group in GROUPS if group in named or group == selection.group)


async def _find(box: LetterBox, places: Sequence[Place], selection: Selection, *, as_json: bool) -> list[Case]:
    topic = source_topic(selection.topic, selection.groups)
    since = EPOCH if places else read_since(selection.since, datetime.now(UTC))
    with nullcontext(in_silence) if as_json else progress("reading the dead letters") as on_progress:
        found = await box.cases(since=since, topic=topic, on_progress=on_progress)
    if not places:
        return [case for case in found if selection.takes(case)]
    for place in places:
        if not any(place in case.places for case in found):
            raise ClusterRefused(
                f"there is no letter at {address(place)} to be put back; see what is: coaching dead-letters list"
            )
    return [case for case in found if set(places) & set(case.places)]


def _to_replay(cases: Sequence[Case], voice: Voice) -> list[Case]:
    """Those for which there is something to do; of the others it is said."""
    for case in cases:
        if case.state == "handled" or not case.letter.can_be_replayed:
            voice.left_out(case)
    return [case for case in cases if case.state != "handled" and case.letter.can_be_replayed]


async def _carry_out(replaying: Replaying, cases: Sequence[Case], voice: Voice, *, as_json: bool) -> int:
    outcomes: list[Outcome] = []
    with nullcontext(in_silence) if as_json else progress("replaying") as on_progress:
        async for outcome in replaying.replay(cases):
            outcomes.append(outcome)
            voice.heard(outcome)
            on_progress(len(outcomes), len(cases))
    silent = {outcome.case.letter.group for outcome in outcomes if outcome.kind == "no answer"}
    absent = silent.intersection(await replaying.without_workers()) if silent else silent
    voice.concluded(outcomes, cases[len(outcomes) :], absent)
    return _exit_code(outcomes)


def _exit_code(outcomes: Sequence[Outcome]) -> Exit:
    kinds = {outcome.kind for outcome in outcomes}
    if "no answer" in kinds:
        return Exit.NO_ANSWER
    return Exit.NO if "died again" in kinds else Exit.DONE


class _ForPeople:
    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds

    def left_out(self, case: Case) -> None:
        complain(f"{address(case.letter.place)} is left out: {why_left_out(case)}")

    def would_replay(self, cases: Sequence[Case]) -> None:
        if not cases:
            say("There is nothing to replay.")
            return
        say_table([HEADER, *map(row, cases)])
        to = ", ".join(sorted({replay_topic(case.letter.group).name for case in cases}))
        say(f"\nThis was a dry run: {plural(len(cases), 'letter')} would be put on {to}. Do it with --yes.")

    def heard(self, outcome: Outcome) -> None:
        say(outcome_line(outcome), style="red" if outcome.kind in ("died again", "no answer") else "")

    def concluded(self, outcomes: Sequence[Outcome], left: Sequence[Case], absent: Collection[Group]) -> None:
        if not outcomes:
            say("There is nothing to replay.")
            return
        counted = Counter(outcome.kind for outcome in outcomes)
        say(f"{plural(len(outcomes), 'letter')}: {', '.join(f'{number} {kind}' for kind, number in counted.items())}.")
        if "no answer" in counted:
            nobody = f"no worker of {', '.join(absent)} runs; " if absent else ""
            complain(
                f"nothing more was heard for {self._timeout_seconds:g} s: {nobody}see that the workers run, "
                "then ask again, which sends nothing twice"
            )
        elif left:
            complain(
                f"{plural(len(left), 'letter')} more were left where they are, since so many died again: "
                "mend what they die of first; of too many at once, the workers would stop"
            )


class _ForPrograms:
    def left_out(self, case: Case) -> None:
        say_json({"left_out": {**told(case), "why": why_left_out(case)}})

    def would_replay(self, cases: Sequence[Case]) -> None:
        for case in cases:
            say_json({"would_replay": told(case)})
        say_json({"concluded": {"outcome": "dry_run", "letters": len(cases)}})

    def heard(self, outcome: Outcome) -> None:
        say_json({"replayed": told_outcome(outcome)})

    def concluded(self, outcomes: Sequence[Outcome], left: Sequence[Case], absent: Collection[Group]) -> None:
        concluded = {
            "outcome": _OUTCOMES[_exit_code(outcomes)],
            "letters": Counter(outcome.kind.replace(" ", "_") for outcome in outcomes),
            "left": len(left),
            "without_workers": sorted(absent),
        }
        say_json({"concluded": concluded})


def why_left_out(case: Case) -> str:
    if case.state == "handled":
        return state(case)
    return f"{case.letter.group} would not take it: it does not say from which of its topics it came, and when"
