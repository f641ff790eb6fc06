"""A development broker that speaks the Kafka protocol, as a child process (`noida-db`: one binary, one node)."""

import asyncio
import importlib.util
import struct
from pathlib import Path

from devstack.parts import StackError, connected, free_port, shown
from devstack.processes import Process


class DevelopmentBroker:
    """The broker part as a child process; data in `home/broker`. It writes to the disk about once a second."""

    name = "broker"

    def __init__(self, home: Path, *, port: int | None = None) -> None:
        """`port` is taken if it is free, else any free one. Raises StackError when `noida-db` is not installed."""
        port = free_port(port)
        self.address = f"127.0.0.1:{port}"
        self.note = f"{self.address}    development broker: a crash may lose its last second"
        self._data = home / "broker"
        command = (str(_binary()), "start", "--only", "kafka", "--host", "127.0.0.1")
        self.process = Process("broker", (*command, "--kafka-port", str(port), "--data-dir", str(self._data)), home)

    async def start(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        mend = f"start afresh, without its data, with: rm -rf {shown(self._data)} && make up"
        await self.process.launch(self.healthy, 10, mend=mend)

    async def healthy(self) -> bool:
        return await broker_answers(self.address)

    async def stop(self) -> None:
        await self.process.stop(grace_seconds=0.8)


def _binary() -> Path:
    package = importlib.util.find_spec("noida_db")
    if package is None or package.origin is None:
        raise StackError("the development broker is not installed; install it with: make install")
    return Path(package.origin).with_name("noida-db")


async def broker_answers(bootstrap_servers: str) -> bool:
    """Whether one of the brokers answers a metadata request, and knows of a broker that may lead partitions."""
    answers = [_metadata_lists_a_broker(*server.strip().rsplit(":", 1)) for server in bootstrap_servers.split(",")]
    return any(await asyncio.gather(*answers))


async def _metadata_lists_a_broker(host: str, port: str) -> bool:
    # Kafka protocol: size, api key 3, version 1, correlation id, no client id, no topics; the answer is
    # size, correlation id, number of brokers, … A whole client would log an error at each early try.
    request = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)
    try:
        async with connected(host, int(port)) as (reader, writer):
            writer.write(request)
            _size, _correlation_id, brokers = struct.unpack(">iii", await reader.readexactly(12))
    except (OSError, asyncio.IncompleteReadError):
        return False
    return bool(brokers > 0)
