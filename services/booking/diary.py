"""Who is busy when: the time that live sessions take of their people (R2), for the length of one batch."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.booking.sessions import Availability, Session


@dataclass(frozen=True, slots=True, order=True)
class Hold:
    """`[starts_at, ends_at)`: touching ends are no overlap."""

    starts_at: datetime
    ends_at: datetime
    session_id: str


class Diary:
    """The holds of one person never overlap each other, so that sorted by start they are sorted by end, too."""

    def __init__(self, holds: Iterable[tuple[str, Hold]] = ()) -> None:
        self._holds: dict[str, list[Hold]] = defaultdict(list)
        for person_id, hold in holds:
            insort(self._holds[person_id], hold)

    def availability(
        self, *, coach_id: str, client_id: str, starts_at: datetime, ends_at: datetime, session_id: str
    ) -> Availability:
        """Whether both are free then, but for what `session_id` itself holds."""
        coach, client = (
            self._is_free(person_id, starts_at, ends_at, session_id) for person_id in (coach_id, client_id)
        )
        return Availability(coach, client)

    def release(self, session: Session) -> None:
        hold = _hold(session)
        for person_id in (session.client.id, session.coach.id):
            holds = self._holds[person_id]
            at = bisect_left(holds, hold)
            if at < len(holds) and holds[at] == hold:
                del holds[at]

    def take(self, session: Session) -> None:
        for person_id in (session.client.id, session.coach.id):
            insort(self._holds[person_id], _hold(session))

    def _is_free(self, person_id: str, starts_at: datetime, ends_at: datetime, session_id: str) -> bool:
        holds = self._holds[person_id]
        at = bisect_left(holds, starts_at, key=lambda hold: hold.ends_at)
        while at < len(holds) and holds[at].starts_at < ends_at:
            if holds[at].ends_at > starts_at and holds[at].session_id != session_id:
                return False
            at += 1
        return True


def _hold(session: Session) -> Hold:
    return Hold(session.starts_at, session.ends_at, session.session_id)
