"""Carries faults out one by one, and mends them again."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Final, cast

import asyncpg

from devstack.containers import ContainerPart
from devstack.parts import until
from tests.chaos.clock import shifted_clock
from tests.chaos.fleet import Fleet, Post
from tests.chaos.happened import Injected
from tests.chaos.schedule import CHARACTERS, Fault, Kind
from tests.chaos.sink import Mood, Sink

# Longer than a worker needs to start, join its group and get something to do.
_LONGEST_WAIT_FOR_A_POINT_SECONDS: Final = 30.0
_MOST_WORKERS: Final = 4
# Each way. A batch asks some fifteen questions, twice that on a new connection: it still ends within its 5 s.
_SLOW_SECONDS: Final = 0.05
# Of the notifier's, no row carries an answer; of the others', those that carry none may wait for theirs (R26).
_FORGET = """
    WITH forgotten AS (
        DELETE FROM journal WHERE topic LIKE '%.events'
        AND NOT EXISTS (SELECT FROM unannounced WHERE (message_id, topic) = (journal.message_id, journal.topic))
        AND (answers <> '[]' OR current_database() = 'notifier') RETURNING 1
    )
    SELECT count(*) FROM forgotten
"""
_TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class Injector:
    """What two faults cannot have at the same time, the later one waits for."""

    def __init__(
        self, fleet: Fleet, broker: ContainerPart, postgres: ContainerPart, sink: Sink, *, workers: int
    ) -> None:
        """`workers`: how many work for each service when nothing is wrong."""
        self._fleet = fleet
        self._sink = sink
        self._workers = workers
        self._machines: Mapping[str, ContainerPart] = {"broker": broker, "database": postgres}
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def inject(self, fault: Fault) -> Injected:
        """Returns when it is mended. Raises StackError when a part does not come back."""
        busy = _WHAT_IS_BUSY.get(fault.kind)
        async with self._busy[busy] if busy is not None else nullcontext():
            post = self._post(fault) if fault.service is not None else None
            began = time.monotonic()
            hit = await WAYS[fault.kind](self, fault, post)
            number = post.number if post is not None and CHARACTERS[fault.kind].hits == "worker" else None
            return Injected(fault, began, time.monotonic(), number, hit)

    def _post(self, fault: Fault) -> Post:
        assert fault.service is not None
        posts = self._fleet.of(fault.service)
        return posts[fault.post % len(posts)]

    # Workers ---------------------------------------------------------------------------------------------------------

    async def kill_worker(self, _fault: Fault, post: Post | None) -> bool:
        return self._kill(post)

    async def kill_all(self, _fault: Fault, _post: Post | None) -> bool:
        killed = [self._kill(post) for post in self._fleet.posts]
        return any(killed)

    async def freeze_worker(self, fault: Fault, post: Post | None) -> bool:
        worker = post.worker if post is not None else None
        if worker is None or not worker.running:
            return False
        worker.pause()
        await asyncio.sleep(fault.lasts_seconds)
        worker.resume()
        return True

    async def stop_worker(self, _fault: Fault, post: Post | None) -> bool:
        return post is not None and self._fleet.ask_to_stop(post)

    async def kill_at_a_point(self, fault: Fault, post: Post | None) -> bool:
        assert post is not None
        worker = await self._fleet.replace(post, {"FAULT": f"{fault.detail}:kill"})
        if worker is None or await worker.wait(_LONGEST_WAIT_FOR_A_POINT_SECONDS) is not None:
            return worker is not None
        self._fleet.ask_to_stop(post)
        return False

    async def freeze_at_a_point(self, fault: Fault, post: Post | None) -> bool:
        assert post is not None
        worker = await self._fleet.replace(post, {"FAULT": f"{fault.detail}:stop"})
        if worker is None:
            return False

        async def frozen() -> bool:
            return worker.running and worker.frozen

        if not await until(frozen, _LONGEST_WAIT_FOR_A_POINT_SECONDS, hopeless=lambda: not worker.running):
            self._fleet.ask_to_stop(post)
            return False
        await asyncio.sleep(fault.lasts_seconds)
        worker.resume()
        return True

    async def shift_clock(self, fault: Fault, post: Post | None) -> bool:
        assert post is not None
        environment = shifted_clock(int(fault.detail))
        if environment is None or await self._fleet.replace(post, environment) is None:
            return False
        await asyncio.sleep(fault.lasts_seconds)
        return self._fleet.ask_to_stop(post)

    async def scale(self, fault: Fault, post: Post | None) -> bool:
        assert post is not None
        for count in (_MOST_WORKERS, 1, self._workers):
            await self._fleet.scale(post.service, count)
            await asyncio.sleep(fault.lasts_seconds / 2)
        return True

    def _kill(self, post: Post | None) -> bool:
        if post is None or post.worker is None or not post.worker.running:
            return False
        post.worker.kill()
        return True

    # The database and the way to it ----------------------------------------------------------------------------------

    async def terminate_connections(self, _fault: Fault, _post: Post | None) -> bool:
        return await self._ask_database(self._machines["database"].address, _TERMINATE)

    async def cut_database(self, _fault: Fault, post: Post | None) -> bool:
        assert post is not None
        return post.database_wire.cut() > 0

    async def silence_database(self, fault: Fault, post: Post | None) -> bool:
        assert post is not None
        post.database_wire.silence()
        await asyncio.sleep(fault.lasts_seconds)
        post.database_wire.mend()
        return True

    async def slow_database(self, fault: Fault, post: Post | None) -> bool:
        assert post is not None
        post.database_wire.delay_seconds = _SLOW_SECONDS
        await asyncio.sleep(fault.lasts_seconds)
        post.database_wire.delay_seconds = 0.0
        return True

    async def lose_commit(self, _fault: Fault, post: Post | None) -> bool:
        assert post is not None
        before = post.database_wire.swallowed
        post.database_wire.swallow_next_commit()

        async def swallowed() -> bool:
            return post.database_wire.swallowed > before

        hit = await until(swallowed, _LONGEST_WAIT_FOR_A_POINT_SECONDS)
        post.database_wire.spare_next_commit()
        return hit

    async def forget_journal(self, fault: Fault, _post: Post | None) -> bool:
        assert fault.service is not None
        return await self._ask_database(self._fleet.database_url(fault.service), _FORGET)

    async def _ask_database(self, url: str, question: str) -> bool:
        """Whether it was answered with more than nothing. A database that is down for another reason does not."""
        try:
            connection = await asyncpg.connect(url, timeout=2)
            try:
                return bool(await connection.fetchval(question, timeout=5))
            finally:
                await connection.close(timeout=2)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    # Broker ----------------------------------------------------------------------------------------------------------

    async def cut_broker(self, fault: Fault, _post: Post | None) -> bool:
        return self._fleet.broker_wires[fault.service or ""].cut() > 0

    async def silence_broker(self, fault: Fault, _post: Post | None) -> bool:
        wire = self._fleet.broker_wires[fault.service or ""]
        wire.silence()
        await asyncio.sleep(fault.lasts_seconds)
        wire.mend()
        return True

    async def kill_machine(self, fault: Fault, _post: Post | None) -> bool:
        machine = self._machines[_WHAT_IS_BUSY[fault.kind]]
        await machine.kill()
        await asyncio.sleep(fault.lasts_seconds)
        await machine.start()
        return True

    async def restart_machine(self, fault: Fault, _post: Post | None) -> bool:
        machine = self._machines[_WHAT_IS_BUSY[fault.kind]]
        await machine.end()
        await machine.start()
        return True

    # Mail server -----------------------------------------------------------------------------------------------------

    async def mail_down(self, fault: Fault, _post: Post | None) -> bool:
        await self._sink.go_down()
        await asyncio.sleep(fault.lasts_seconds)
        await self._sink.come_back()
        return True

    async def mail_odd(self, fault: Fault, _post: Post | None) -> bool:
        mood = cast(Mood, fault.detail)
        before = self._sink.oddities[mood]
        self._sink.mood = mood
        await asyncio.sleep(fault.lasts_seconds)
        self._sink.mood = "well"
        return self._sink.oddities[mood] > before


WAYS: Final[Mapping[Kind, Callable[[Injector, Fault, Post | None], Awaitable[bool]]]] = {
    "worker killed": Injector.kill_worker,
    "all workers killed": Injector.kill_all,
    "worker frozen": Injector.freeze_worker,
    "worker stopped": Injector.stop_worker,
    "killed before COMMIT": Injector.kill_at_a_point,
    "killed before publishing": Injector.kill_at_a_point,
    "killed before committing offsets": Injector.kill_at_a_point,
    "killed before recording an email": Injector.kill_at_a_point,
    "frozen before COMMIT": Injector.freeze_at_a_point,
    "frozen before publishing": Injector.freeze_at_a_point,
    "clock shifted": Injector.shift_clock,
    "scaled": Injector.scale,
    "connections terminated": Injector.terminate_connections,
    "database cut off": Injector.cut_database,
    "database silent": Injector.silence_database,
    "database slow": Injector.slow_database,
    "COMMIT's reply lost": Injector.lose_commit,
    "database killed": Injector.kill_machine,
    "database restarted": Injector.restart_machine,
    "journal forgotten": Injector.forget_journal,
    "broker cut off": Injector.cut_broker,
    "broker silent": Injector.silence_broker,
    "broker killed": Injector.kill_machine,
    "broker restarted": Injector.restart_machine,
    "mail server down": Injector.mail_down,
    "mail server odd": Injector.mail_odd,
}

_WHAT_IS_BUSY: Final[Mapping[Kind, str]] = {
    "scaled": "workers",
    "database killed": "database",
    "database restarted": "database",
    "broker killed": "broker",
    "broker restarted": "broker",
    "mail server down": "mail server",
    "mail server odd": "mail server",
}
