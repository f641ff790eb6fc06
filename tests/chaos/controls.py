"""Mechanisms taken out, each in a copy of the tree, and the run in which the damage has to be found.

`make chaos CONTROL=journal` makes one such run, `make chaos-controls` all of them. They fail when nothing is found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from devstack.stack import SERVICES
from tests.chaos.plan import ALL_KINDS, Plan
from tests.chaos.schedule import Kind

CONSUMER: Final = "messaging/kafka/consumer.py"
JOURNAL: Final = "messaging/journal.py"
LEDGER: Final = "services/credits/ledger.py"
LEDGER_TABLES: Final = "services/credits/migrations/versions/0001_ledger.py"
EMAILS: Final = "services/notifier/store.py"


@dataclass(frozen=True, slots=True)
class Edit:
    """`before` stands once in the file, and is replaced."""

    file: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Control:
    """`finds`: kinds of finding, each of which would do: any of them tells of the damage itself."""

    takes_out: str
    edits: tuple[Edit, ...]
    plan: Plan
    finds: frozenset[str]


def _plan(
    *,
    commands: int,
    faults: int,
    seconds: float,
    kinds: tuple[Kind, ...] = ALL_KINDS,
    services: tuple[str, ...] = SERVICES,
    orderly: bool = False,
) -> Plan:
    """What is lost is never done: nobody need wait for it for long."""
    return Plan(1, commands, faults, seconds, calm_seconds=60, kinds=kinds, services=services, orderly=orderly)


CONTROLS: Final[Mapping[str, Control]] = {
    "journal": Control(
        "nobody looks up what was handled before",
        (
            Edit(JOURNAL, "_LOOK_UP, _split(keys))] if keys else []", "_LOOK_UP, _split(keys))] if False else []"),
            Edit(
                JOURNAL,
                """            CAST(:outcomes AS text[]), CAST(:answers AS text[])
        )
""",
                """            CAST(:outcomes AS text[]), CAST(:answers AS text[])
        ) ON CONFLICT DO NOTHING
""",
            ),
        ),
        _plan(commands=400, faults=4, seconds=25, kinds=("killed before publishing", "worker killed")),
        frozenset({"answered twice", "charged twice", "refunded twice"}),
    ),
    "offsets": Control(
        "offsets are committed before the batch is handled",
        (
            Edit(
                CONSUMER,
                """            await self._process([record_of(one) for one in raw])
            self._before_offset_commit()
            await self._offsets.commit_past(raw, self._consumer())
""",
                """            await self._offsets.commit_past(raw, self._consumer())
            await self._process([record_of(one) for one in raw])
            self._before_offset_commit()
""",
            ),
        ),
        _plan(
            commands=800,
            faults=10,
            seconds=40,
            kinds=("killed before COMMIT", "killed before publishing"),
            services=("booking", "credits"),
        ),
        frozenset({"command unanswered", "unanswered", "charge unanswered", "not confirmed", "unannounced"}),
    ),
    "barrier": Control(
        "partitions are given up while their batch still runs",
        (Edit(CONSUMER, "                await self._idle.wait()\n", "                pass\n"),),
        _plan(
            commands=600,
            faults=12,
            seconds=60,
            kinds=("scaled", "database slow"),
            services=("booking",),
            orderly=True,
        ),
        frozenset({"said again"}),
    ),
    "decoding": Control(
        "records are decoded by FastStream's own parser, which is not total",
        (
            Edit(
                CONSUMER,
                """            parser=_raw_parser,
            decoder=_raw_decoder,
""",
                "",
            ),
        ),
        _plan(commands=600, faults=0, seconds=25),
        frozenset({"command unanswered", "poison unanswered", "unanswered"}),
    ),
    "refund": Control(
        "nothing keeps a session's refund unique: neither its state nor the ledger's index",
        (
            Edit(LEDGER, 'replace(session, charge="refunded")', 'replace(session, charge="charged")'),
            Edit(
                LEDGER_TABLES,
                "CREATE UNIQUE INDEX transfers_session_kind ON",
                "CREATE INDEX transfers_session_kind ON",
            ),
        ),
        _plan(commands=600, faults=12, seconds=30, kinds=("journal forgotten",), services=("credits",)),
        # The second refund is said under the id of the first, with another balance.
        frozenset({"refunded twice", "changed"}),
    ),
    "claim": Control(
        "emails are sent without being claimed first",
        (Edit(EMAILS, "status = 'sending', claim =", "status = 'waiting', claim ="),),
        _plan(commands=200, faults=0, seconds=15),
        frozenset({"email doubled"}),
    ),
    "unannounced": Control(
        "nobody says first what another worker decided and left unsaid",
        (Edit(JOURNAL, "    if not state_keys:\n        return []\n", "    if True:\n        return []\n"),),
        _plan(
            commands=800,
            faults=6,
            seconds=40,
            kinds=("frozen before publishing", "killed before publishing"),
            services=("booking", "credits"),
        ),
        frozenset({"out of order"}),
    ),
}
