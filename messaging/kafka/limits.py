"""How long and how large: the settings of the Kafka client. Why they are these is in docs/decisions.md.

The times nest with those of `database.py` and `worker.py` (delivery, rule 8); a test asserts it.
"""

from typing import Final

SESSION_TIMEOUT_SECONDS: Final = 6
HEARTBEAT_SECONDS: Final = 1
REBALANCE_TIMEOUT_SECONDS: Final = 20
# A batch is tried for as long as it takes: who leaves the group meanwhile only hands its failure on. See the watchdog.
POLL_INTERVAL_SECONDS: Final = 24 * 3600
REVOKE_WAIT_SECONDS: Final = 12
REQUEST_TIMEOUT_SECONDS: Final = 30
PRODUCE_TIMEOUT_SECONDS: Final = 10
PUBLISH_TIMEOUT_SECONDS: Final = 25
OFFSET_COMMIT_TIMEOUT_SECONDS: Final = 5
OFFSET_COMMIT_RETRY_SECONDS: Final = 5
LATE_OFFSET_COMMIT_TIMEOUT_SECONDS: Final = 1
GRACEFUL_STOP_SECONDS: Final = 15
LEAVE_GROUP_SECONDS: Final = 5
ADMIN_TIMEOUT_SECONDS: Final = 10
LOOK_TIMEOUT_SECONDS: Final = 5
POLL_MILLISECONDS: Final = 500
CATCH_UP_SECONDS: Final = 0.01
PRODUCER_BATCH_BYTES: Final = 700_000
LARGEST_PLAIN_RECORD_BYTES: Final = 1_000_000
