"""One stack at a time in a folder: a lock that lasts as long as its holder, and what the holder says about it."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devstack.parts import StackError, shown


class RunningAlreadyError(Exception):
    """Another process, `pid`, keeps the stack running; `environment` has the addresses of its parts."""

    def __init__(self, pid: int, environment: Mapping[str, str]) -> None:
        super().__init__(f"the stack runs already, in process {pid}")
        self.pid, self.environment = pid, environment


@contextmanager
def only_stack(home: Path) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Hold the stack of this folder; what is yielded announces the addresses to those who come later.

    Raises RunningAlreadyError if another process holds it and has announced them, StackError if it has not.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = os.open(home / "running.json", os.O_RDWR | os.O_CREAT, 0o600)  # it will hold a password
    except PermissionError as error:
        raise StackError(f"{shown(home)} belongs to another user; remove it with: sudo rm -rf {shown(home)}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _raise_what_holder_says(file)
        os.truncate(file, 0)
        yield lambda environment: _announce(file, environment)
    finally:
        os.close(file)


def _announce(file: int, environment: Mapping[str, str]) -> None:
    os.pwrite(file, json.dumps({"pid": os.getpid(), "environment": dict(environment)}).encode(), 0)


def _raise_what_holder_says(file: int) -> None:
    said = os.pread(file, 100_000, 0)
    if not said:
        raise StackError("another process starts, ends or tells its story on the stack; in a moment run: make up")
    raise RunningAlreadyError(**json.loads(said))
