"""Child processes of the stack: each with a log file, and with a note of its id so that none is left behind."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from devstack.parts import StackError, free_port, indented_tail, shown, until


class Process:
    """A child process; its output is in `home/logs`, its id in `home/run` while it lives."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        home: Path,
        *,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """`environment` is added to that of this process."""
        self.name = name
        self.log = home / "logs" / f"{name}.log"
        self._note = home / "run" / f"{name}.json"
        self._command, self._stop_signal = command, stop_signal
        self._environment = {**os.environ, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def exit_code(self) -> int | None:
        """None while it runs (and before the first start); negative when a signal ended it."""
        return None if self._child is None else self._child.poll()

    @property
    def id(self) -> int:
        """The process id. Raises StackError before the first start."""
        if self._child is None:
            raise StackError(f"{self.name} was never started; start the stack with: make up")
        return self._child.pid

    @property
    def frozen(self) -> bool:
        """Whether it was stopped (SIGSTOP), by us or by itself."""
        return self._child is not None and psutil.Process(self.id).status() == psutil.STATUS_STOPPED

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def spawn(self) -> None:
        """Start the child; the log begins anew unless it is a restart."""
        for folder in (self.log.parent, self._note.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb" if self._child is None else "ab") as log:
            self._child = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for us: we end the parts in their order.
                start_new_session=True,
            )
        pid = self._child.pid
        born = psutil.Process(pid).create_time()
        self._note.write_text(json.dumps({"pid": pid, "born": born, "stop_signal": self._stop_signal}))

    async def launch(self, answers: Callable[[], Awaitable[bool]], seconds: float, *, mend: str) -> None:
        """Start the child and return when it answers. Raises StackError, with the end of its log and the way out."""
        self.spawn()
        if not await until(answers, seconds, hopeless=lambda: not self.running):
            failure = self.failure()
            await self.stop(grace_seconds=1)
            raise StackError(f"{failure}{mend}")

    async def finish(self, seconds: float, *, mend: str) -> None:
        """Start the child and return when it has ended with exit code 0. Raises StackError as `launch` does."""
        self.spawn()
        try:
            if await self.wait(seconds) != 0:
                raise StackError(f"{self.failure()}{mend}")
        finally:
            await self.stop(grace_seconds=1)

    async def wait(self, seconds: float) -> int | None:
        """The exit code, or None if it still runs after `seconds`."""

        async def ended() -> bool:
            return not self.running

        await until(ended, seconds)
        return self.exit_code

    async def stop(self, grace_seconds: float = 10) -> int | None:
        """Ask it to end, kill it after `grace_seconds`; return the exit code."""
        if self.running:
            self.send(self._stop_signal)
            self.resume()  # who is paused hears nothing
            if await self.wait(grace_seconds) is None:
                self.kill()
        self._note.unlink(missing_ok=True)
        return self.exit_code

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(5)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(number)

    def failure(self) -> str:
        """What became of it, with the end of its log, for an error message."""
        became = "goes on without an answer" if self.running else f"ended with exit code {self.exit_code}"
        return f"{self.name} {became}:\n{indented_tail(self.log.read_text(errors='replace'))}\n"


class Worker(Process):
    """One worker of a service: `python -m services.<service> run`."""

    def __init__(self, service: str, number: int, environment: Mapping[str, str], home: Path) -> None:
        self.service = service
        self.health_port = free_port()
        super().__init__(
            f"{service}-{number}",
            (sys.executable, "-m", f"services.{service}", "run"),
            home,
            environment={**environment, "HEALTH_PORT": str(self.health_port)},
        )

    async def start(self, seconds: float = 90) -> None:
        """Return when the worker is ready. Raises StackError, with the end of its log."""
        await self.launch(self.ready, seconds, mend=f"see the whole log with: less {shown(self.log)}")

    async def ready(self) -> bool:
        """Whether `/ready` answers 200 within 2 s."""
        return await asyncio.to_thread(self._ready)

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=2)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


async def migrate(service: str, environment: Mapping[str, str], home: Path) -> None:
    """Bring the service's database to head. Raises StackError, with the end of the log."""
    process = Process(
        f"{service}-migrate", (sys.executable, "-m", f"services.{service}", "migrate"), home, environment=environment
    )
    await process.finish(60, mend=f"see the whole log with: less {shown(process.log)}")


async def stop_leftovers(home: Path) -> None:
    """End what an earlier run left behind under this `home` because it was killed itself."""
    notes = list((home / "run").glob("*.json"))
    await asyncio.gather(*(_stop_leftover(**json.loads(note.read_text())) for note in notes))
    for note in notes:
        note.unlink()


async def _stop_leftover(pid: int, born: float, stop_signal: int) -> None:
    async def gone() -> bool:
        # A zombie's parent is gone and nobody has buried it: it does nothing more.
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    # Whenever it is found gone, the work is done.
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        # The id may be somebody else's by now; the clock may have been set by a second since.
        if abs(process.create_time() - born) < 2:
            process.send_signal(stop_signal)
            if not await until(gone, 5):
                process.kill()
