"""Where a test can have a worker die or freeze. Off unless the setting FAULT names a point.

`FAULT=before-publish:kill` kills the worker (SIGKILL) the first time it gets there; `stop` freezes it (SIGSTOP).
`FAULT=before-publish:stop@booking.SessionScheduled.v1` waits for a batch that says this type.
"""

import os
import signal
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

POINTS: Final = ("before-commit", "before-publish", "before-offset-commit", "before-record")
_SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(frozen=True)
class Fault:
    point: str
    action: str
    message_type: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, with what is possible, when `text` is no `point:action[@type]`."""
        where, _, message_type = text.partition("@")
        point, _, action = where.partition(":")
        if point not in POINTS or action not in _SIGNALS:
            raise ValueError(
                f"must be point:action or point:action@type, with a point of {', '.join(POINTS)}"
                f" and an action of {', '.join(_SIGNALS)}"
            )
        return cls(point, action, message_type or None)

    def reach(self, point: str, message_types: Collection[str]) -> None:
        if point == self.point and (self.message_type is None or self.message_type in message_types):
            os.kill(os.getpid(), _SIGNALS[self.action])
