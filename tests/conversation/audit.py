"""What must be true of the log once everybody has read everything, whatever came in between."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from messaging.records import Outgoing
from tests.booking.bus import Said, read_back
from tests.booking.verdicts import check_verdict


@dataclass
class Story:
    """What was said of one session: booking's events, and those of credits by name."""

    events: list[Said] = field(default_factory=list)
    credits: dict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def final(self) -> Mapping[str, Any]:
        session: Mapping[str, Any] = self.events[-1].body["session"]
        return session

    def event(self, gist: str) -> Mapping[str, Any] | None:
        return next((said.body for said in self.events if said.gist == gist), None)

    def times(self, gist: str) -> int:
        return len(self.credits[gist])


def audit(published: Iterable[Outgoing]) -> dict[str, Story]:
    """Raises AssertionError for whatever is not as it must be. Returns the stories of the sessions, by id."""
    log = [read_back(record) for record in published]
    assert not [said for said in log if said.topic.startswith("dlq.")]
    first = {said.headers["ce_id"]: said for said in reversed(log)}
    heard = [said for said in log if said is first[said.headers["ce_id"]]]
    _check_answers(log)
    _check_account([said for said in heard if said.topic == "credits.events"])
    stories: dict[str, Story] = defaultdict(Story)
    for said in heard:
        if said.topic == "booking.events":
            check_verdict(said)
            stories[said.key].events.append(said)
        elif said.topic == "credits.events" and "session" in said.body:
            stories[said.body["session"]["session_id"]].credits[said.gist].append(said.body)
    for story in stories.values():
        assert [said.body["session"]["version"] for said in story.events] == list(range(1, len(story.events) + 1))
        _check_credits(story)
        _check_rebooking(story, stories)
    return stories


def _check_answers(log: Sequence[Said]) -> None:
    """R13: each command has one answer, the same however often it is given."""
    answers: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for said in log:
        if "ce_causationid" in said.headers:
            answers[said.headers["ce_causationid"]].add((said.headers["ce_id"], str(said.body)))
    for said in log:
        if said.topic.endswith(".commands"):
            assert len(answers[said.headers["ce_id"]]) == 1, f"{said.gist} has another number of answers than one"


def _check_account(events: Sequence[Said]) -> None:
    """One account's events follow from each other in the order of its versions (R21, R22)."""
    known = sorted((said for said in events if said.body["account_version"] > 0), key=_account_version)
    assert [_account_version(said) for said in known] == list(range(1, len(known) + 1))
    balance = 0
    for said in known:
        signs = {"CreditsGranted": 1, "CreditsCharged": -1, "CreditsRefunded": 1, "ChargeDeclined": 0}
        balance += signs[said.gist] * said.body["credits"]
        assert said.body["balance"] == balance >= 0


def _account_version(said: Said) -> int:
    return int(said.body["account_version"])


def _check_credits(story: Story) -> None:
    """Charged once, refunded at most once, and exactly if booking says that credits go back (R1, R6-R8, R22, R23)."""
    charged, refunded, refused = (story.times(gist) for gist in ("CreditsCharged", "CreditsRefunded", "ChargeDeclined"))
    assert charged + refused == 1
    status = story.final["status"]
    canceled, declined = story.event("SessionCanceled"), story.event("SessionDeclined")
    goes_back = declined is not None or story.event("RefundApproved") is not None
    goes_back |= canceled is not None and canceled["refund"] != "none"
    assert refunded == (charged and goes_back and story.final["credits"] > 0)
    assert status != "requested"
    if status == "scheduled":
        assert charged
    if declined is not None and declined["why"] != "too_late":
        assert story.credits["ChargeDeclined"][0]["why"] == declined["why"]


def _check_rebooking(story: Story, stories: Mapping[str, Story]) -> None:
    """R26: what its own charge was decided by contains what the end of the session that it rebooks had brought back.

    Unless it was canceled itself meanwhile, for which nobody waits.
    """
    rebooked = stories.get(story.final.get("rebooks", ""))
    (decided,) = story.credits["CreditsCharged"] + story.credits["ChargeDeclined"]
    if rebooked is None or decided.get("why") == "session_closed":
        return
    for refund in rebooked.credits["CreditsRefunded"]:
        assert refund["cause"] == "exception" or refund["account_version"] < decided["account_version"]
