"""`python -m devstack demo` tells the story and ends; `up` leaves the stack running until Ctrl-C."""

import argparse
import asyncio
import os
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

from devstack.parts import StackError, first_error_of_group, shown
from devstack.processes import stop_leftovers
from devstack.running import RunningAlreadyError, only_stack
from devstack.stack import SERVICES, Stack, choose_parts
from ops.errors import OpsError

RULE = "─" * 54


def main() -> int:
    """The exit code: 0 done (Ctrl-C is how `up` is done), 1 something does not work, 130 a demo interrupted."""
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    parser.add_argument("command", choices=("demo", "up"))
    parser.add_argument("--containers", action="store_true", help="parts from Docker containers, not embedded ones")
    arguments = parser.parse_args()
    try:
        return asyncio.run(run(arguments.command, Path.cwd() / ".devstack", containers=arguments.containers))
    except (StackError, OpsError) as error:
        say(error)
        return 1
    except asyncio.CancelledError:
        return 0 if arguments.command == "up" else 130


async def run(command: str, home: Path, *, containers: bool) -> int:
    """Everything is kept in `home`. Raises StackError, OpsError, CancelledError after a signal; nothing runs then."""
    cancel_on_first_signal()
    try:
        with only_stack(home) as announce:
            await stop_leftovers(home)
            stack = Stack(choose_parts(home, os.environ, containers=containers), home)
            try:
                await bring_up(stack)
                if command == "demo":
                    return await tell_story(stack)
                announce(stack.addresses)
                show(stack, home)
                say("Ctrl-C stops everything")
                await report_failures(stack, home)
            finally:
                await stack.stop(grace_seconds=0.8)
    except RunningAlreadyError as other:
        return await use_running(command, home, other)
    return 0


async def bring_up(stack: Stack) -> None:
    """The workers start while their databases are made: they wait for what is not there yet."""
    await stack.start_parts(lambda part, seconds: say_ready(part.name, seconds, part.note))
    begin = time.monotonic()
    with first_error_of_group():
        async with asyncio.TaskGroup() as group:
            group.create_task(stack.start_workers())
            revisions = await stack.prepare()
            revisions_text = " · ".join(f"{service} {revision}" for service, revision in revisions.items())
            say_ready("migrate", time.monotonic() - begin, revisions_text)
    say_ready(" ".join(SERVICES), time.monotonic() - begin)
    say(RULE)


async def use_running(command: str, home: Path, other: RunningAlreadyError) -> int:
    """Play the demo on the stack that is up, or say where it is."""
    stack = Stack(choose_parts(home, other.environment, containers=False), home)
    say(f"{other}; stop it with: kill {other.pid}")
    if command == "demo":
        await stack.start_parts()
        say(RULE)
        return await tell_story(stack)
    show(stack, home)
    return 0


async def tell_story(stack: Stack) -> int:
    exit_code: int = await import_module("devstack.story").tell(stack)
    return exit_code


async def report_failures(stack: Stack, home: Path) -> None:
    """Say once of each worker and part that it ended or went silent; never returns."""
    reported: set[str] = set()
    while True:
        silent = [part.name for part in stack.parts.all() if not await part.healthy()]
        ended = [worker.name for worker in stack.workers if not worker.running]
        for name in set(silent + ended) - reported:
            say(f"{name} does not answer any more: see {shown(home / 'logs')}; end this with Ctrl-C, then run: make up")
        reported |= {*silent, *ended}
        await asyncio.sleep(1)


def show(stack: Stack, home: Path) -> None:
    """Where everything is, for playing."""
    say(f"broker     {stack.bootstrap_servers}")
    for service in SERVICES:
        say(f"{service:<10} {stack.database_url(service)}")
    say(f"mail       {stack.parts.mail.address}")
    if stack.mailbox is not None:
        location = stack.mailbox.location
        say(f"mails      {location if '://' in location else shown(Path(location))}")
    say(f"logs       {shown(home / 'logs')}")


def say_ready(name: str, seconds: float, note: str = "") -> None:
    say(f"{name:<10} ready {seconds:4.1f} s   {note}".rstrip())


def say(line: object) -> None:
    print(line, flush=True, file=sys.stderr if isinstance(line, Exception) else sys.stdout)


def cancel_on_first_signal() -> None:
    """Ctrl-C, `kill` and a closed terminal end this task; pressing again while it ends changes nothing."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt() -> None:
        for number in numbers:
            loop.add_signal_handler(number, lambda: None)
        assert task is not None
        task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, interrupt)


if __name__ == "__main__":
    sys.exit(main())
