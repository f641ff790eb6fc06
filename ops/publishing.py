"""Publishes records as the services do: in their order, where the contract wants them, large ones squeezed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from messaging.records import Outgoing
from ops.errors import BrokerAway

Publish = Callable[[Sequence[Outgoing]], Awaitable[None]]


@asynccontextmanager
async def publishing(bootstrap_servers: str) -> AsyncIterator[Publish]:
    """What it gives raises BrokerAway unless the broker acknowledged all, and so does the beginning."""
    # Not above, because with it comes SQLAlchemy, for which nobody else has to wait.
    from messaging import retry
    from messaging.kafka.publisher import Publisher

    publisher = Publisher(bootstrap_servers, "coaching", check_standstill=lambda: None)

    async def publish(records: Sequence[Outgoing]) -> None:
        try:
            await publisher.publish(records)
        except retry.BrokerAway as error:
            raise BrokerAway(
                f"Kafka has not acknowledged the letters, and may have them or not ({error}); see that it runs, "
                "then ask again, which does nothing twice"
            ) from error

    try:
        await publisher.start()
    except retry.BrokerAway as error:
        raise BrokerAway(f"Kafka does not let us in ({error}); see that it runs, then try again") from error
    try:
        yield publish
    finally:
        await publisher.stop()
