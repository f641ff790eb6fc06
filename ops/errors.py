"""Why something that an operator asked for did not come about. Each text is one sentence with what to do next.

OpsError
├── BadUsage        what was asked cannot be asked so
├── ClusterRefused  the cluster answered, with no
├── Incomparable    a schema says what is not compared with an earlier one
├── BrokerAway      the cluster did not answer in time
└── DatabaseAway    the database did not answer in time
"""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of `coaching`."""

    DONE = 0
    NO = 1
    BAD_USAGE = 2
    NO_ANSWER = 3


class OpsError(Exception):
    exit_code: Exit


class BadUsage(OpsError):
    exit_code = Exit.BAD_USAGE


class ClusterRefused(OpsError):
    exit_code = Exit.NO


class Incomparable(OpsError):
    exit_code = Exit.NO


class BrokerAway(OpsError):
    exit_code = Exit.NO_ANSWER


class DatabaseAway(OpsError):
    exit_code = Exit.NO_ANSWER
