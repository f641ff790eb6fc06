"""The metrics vocabulary: every name, label and unit that a worker reports, in one place (docs/metrics.md)."""

import collections
from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

MESSAGES: Final = Counter(
    "coaching_messages_total",
    "Messages handled, by how each ended: handled, rejected, dead, repeated, reused (an id with other content).",
    ["group", "outcome"],
)
DECISIONS: Final = Counter(
    "coaching_decisions_total",
    "Answers that were decided, by the message and by why: the rule, the reason, or the code of a rejection.",
    ["group", "answer", "why"],
)
DEAD_LETTERS: Final = Counter(
    "coaching_dead_letters_total",
    "Records that became dead letters, by class, as `coaching dead-letters list` tells it.",
    ["group", "class"],
)
ANSWERS: Final = Counter("coaching_answers_published_total", "Records acknowledged by the broker.", ["group"])
BATCH_MESSAGES: Final = Histogram(
    "coaching_batch_messages", "Messages in a batch.", ["group"], buckets=(1, 3, 10, 30, 100, 300, 1000, 3000)
)
BATCH_SECONDS: Final = Histogram(
    "coaching_batch_seconds",
    "From reading a batch to its answers acknowledged.",
    ["group"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
BATCH_LOCKED_SECONDS: Final = Histogram(
    "coaching_batch_locked_seconds",
    "Of a batch, from asking for its first lock to the end of the transaction, which lets go of all.",
    ["group"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
BATCH_RETRIES: Final = Counter("coaching_batch_retries_total", "Batches tried again, by why.", ["group", "failure"])
READY: Final = Gauge("coaching_ready", "1 while the worker is ready, as `/ready` tells it.", ["group"])
PART_FAILING: Final = Gauge(
    "coaching_part_failing", "1 while this part keeps the worker from being ready.", ["group", "part"]
)
STARTED: Final = Gauge(
    "coaching_start_time_seconds",
    "When the worker started, in seconds since 1970: it changes with every start.",
    ["group"],
)
EMAILS: Final = Counter("coaching_emails_total", "Attempts to send an email, by how each ended.", ["outcome"])
EMAIL_TURN_SECONDS: Final = Histogram(
    "coaching_email_turn_seconds",
    "Of a look at the queue that found emails, from asking for the turn to the commit that passes it on.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3),
)
LAG: Final = Gauge("coaching_lag_records", "Records that wait in the partitions this worker owns.", ["group"])
UNPARSED: Final = Gauge(
    "coaching_unparsed_records", "Records that cannot be parsed and at which a partition stands still.", ["group"]
)
OLDEST_RECORD_AGE_SECONDS: Final = Gauge(
    "coaching_oldest_record_age_seconds",
    "Age of the oldest record that was fetched and is not handled yet; 0 when there is none.",
    ["group"],
)
UNANNOUNCED: Final = Gauge(
    "coaching_unannounced_rows",
    "Handled messages whose answers are not known to be published, counted once a minute, up to 10,000.",
    ["group"],
)
OLDEST_UNANNOUNCED_AGE_SECONDS: Final = Gauge(
    "coaching_oldest_unannounced_age_seconds", "Age of the oldest of those rows; 0 when there is none.", ["group"]
)
WAITING_EMAILS: Final = Gauge(
    "coaching_waiting_emails", "Emails that wait to be sent, of all workers, counted up to 100,000.", ["group"]
)
OLDEST_EMAIL_AGE_SECONDS: Final = Gauge(
    "coaching_oldest_email_age_seconds", "Age of the oldest of those emails; 0 when there is none.", ["group"]
)
ANNOUNCED_EMAILS: Final = Counter(
    "coaching_announced_emails_total", "Emails whose end was announced: sent, or failed for good.", ["group", "status"]
)
LEDGER_DIFFERENCE_CREDITS: Final = Gauge(
    "coaching_ledger_difference_credits",
    "Of the accounts checked, how far their balances are from what the ledger moved, whatever the sign; must be 0.",
    ["group"],
)
LEDGER_CHECKED: Final = Counter(
    "coaching_ledger_checked_accounts_total", "Accounts whose balance was compared with the ledger.", ["group"]
)
LEDGER_LOOKS: Final = Counter(
    "coaching_ledger_looks_total",
    "Looks at some of the accounts that were not cut off; one at an empty ledger counts as well.",
    ["group"],
)
LEDGER_SKIPPED: Final = Counter(
    "coaching_ledger_skipped_accounts_total",
    "Accounts whose balance was not compared, because adding up their transfers takes too long; each once a pass.",
    ["group"],
)


def count_each(counter: Counter, group: str, labels: Iterable[tuple[str, ...]]) -> None:
    """Adds them all, each kind at once: finding a metric's child takes longer than adding to it."""
    for values, count in collections.Counter(labels).items():
        counter.labels(group, *values).inc(count)
