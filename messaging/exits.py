"""How a worker that does not work ends: with a sentence, and a code by which an operator can tell why."""

import logging
import os
import sys
from enum import IntEnum
from typing import Never

import structlog

log = structlog.get_logger(__name__)


class ExitCode(IntEnum):
    DONE = 0
    BAD_SETTINGS = 2
    UNKNOWN_FAILURE = 70
    TOO_MANY_DEAD_LETTERS = 71
    NOT_CONSUMING = 72
    STOOD_STILL = 73
    REVOKE_TOO_LONG = 74
    STOP_TOO_LONG = 75


def leave(code: ExitCode, sentence: str) -> Never:
    """Ends the process at once. No handler may return from an unfinished batch: the next commit would skip it."""
    log.critical("worker.ends", message=sentence, exit_code=int(code), reason=code.name.lower())
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
