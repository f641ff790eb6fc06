"""The metrics vocabulary: every name, label and unit that a worker reports, in one place."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

MESSAGES: Final = Counter(
    "coaching_messages_total",
    "Messages handled, by how each ended: handled, rejected, dead, repeated, reused (an id with other content).",
    ["group", "outcome"],
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
READY: Final = Gauge("coaching_ready", "1 while the worker is ready.", ["group"])
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
