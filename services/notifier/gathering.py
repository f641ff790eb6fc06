"""What comes one by one and is taken in groups."""

import asyncio
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Gathering(Generic[T]):
    """A group is `at_most` items, or what came within `within_seconds` of its first. One task at a time takes."""

    def __init__(self, *, at_most: int, within_seconds: float) -> None:
        self._at_most = at_most
        self._within_seconds = within_seconds
        self._items: list[T] = []
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._closed = False

    def put(self, *items: T) -> None:
        self._items.extend(items)
        if self._items:
            self._some.set()
        if len(self._items) >= self._at_most:
            self._enough.set()

    def flush(self) -> None:
        """What is there need not wait for more: none is on its way."""
        if self._items:
            self._enough.set()

    def drop(self) -> None:
        """Forgets what is there."""
        self._items.clear()
        if not self._closed:
            self._some.clear()
            self._enough.clear()

    def close(self) -> None:
        """Nothing comes any more: what is there is taken at once, and then nothing."""
        self._closed = True
        self._some.set()
        self._enough.set()

    async def take(self) -> list[T]:
        """The next group; an empty one means the end."""
        await self._some.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._within_seconds):
                await self._enough.wait()
        group = self._items[: self._at_most]
        del self._items[: self._at_most]
        if not self._closed:
            if not self._items:
                self._some.clear()
            if len(self._items) < self._at_most:
                self._enough.clear()
        return group
