"""What happens in a run, as plain values. All times are seconds on the monotonic clock of the harness."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.chaos.load import Sending
from tests.chaos.schedule import Fault

Answer = Literal["taken", "taken and hung up", "taken and answered late"]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the broker said that it has, and where."""

    sending: Sending
    partition: int
    offset: int
    at: float


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault, from its beginning until it was mended. `post` None: it hit all of the service, or all there is.

    `hit` False: there was nothing to hit, such as a worker that never came to the point at which it was to fall.
    """

    fault: Fault
    began: float
    mended: float
    post: int | None
    hit: bool


@dataclass(frozen=True, slots=True)
class End:
    """A worker's process that ended. `working`: it had started, not stopped. `planned`: nobody wanted it any more."""

    service: str
    post: int
    worker: str
    exit_code: int
    at: float
    working: bool
    planned: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mail that came whole. `origin`: whose port it came to. `at`: when it was answered, or not."""

    origin: str
    message_id: str
    recipient: str
    at: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class Item:
    """Something that one service was asked, and when it was done: answered, charged, sent."""

    service: str
    asked_at: float
    done_at: float


@dataclass(frozen=True, slots=True)
class Course:
    """The course of a run. Load and faults `began`, both had ended at `calm_at`, and all was handled at `settled_at`.

    `settled_at` is None when it took too long. `echoes`: copies of events that others published. `standstills`: when
    nothing on this machine came to run, the harness neither.
    """

    began: float
    calm_at: float
    settled_at: float | None
    acknowledged: Sequence[Acknowledged]
    injected: Sequence[Injected]
    ends: Sequence[End]
    receipts: Sequence[Receipt]
    items: Sequence[Item]
    echoes: int
    standstills: Sequence[float] = ()
