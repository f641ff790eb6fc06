"""How what comes one by one is taken in groups."""

import asyncio

from services.notifier.gathering import Gathering

FOR_EVER = 3600.0


def gathering(*, at_most: int = 3, within_seconds: float = FOR_EVER) -> Gathering[int]:
    return Gathering(at_most=at_most, within_seconds=within_seconds)


async def test_a_full_group_is_taken_at_once_and_the_rest_waits_for_more() -> None:
    numbers = gathering()
    numbers.put(1, 2, 3, 4)
    assert await numbers.take() == [1, 2, 3]
    taking = asyncio.create_task(numbers.take())
    await asyncio.sleep(0)
    assert not taking.done()
    numbers.put(5, 6)
    assert await taking == [4, 5, 6]


async def test_a_part_of_a_group_is_taken_when_its_time_is_over() -> None:
    numbers = gathering(within_seconds=0.01)
    taking = asyncio.create_task(numbers.take())
    numbers.put(1)
    assert await taking == [1]


async def test_a_part_of_a_group_is_taken_when_no_more_is_on_its_way() -> None:
    numbers = gathering()
    numbers.put(1)
    numbers.flush()
    assert await numbers.take() == [1]
    numbers.flush()  # of nothing: the next one waits for others all the same
    numbers.put(2)
    taking = asyncio.create_task(numbers.take())
    await asyncio.sleep(0)
    assert not taking.done()
    numbers.flush()
    assert await taking == [2]


async def test_more_than_one_full_group_is_taken_group_by_group_without_a_wait() -> None:
    numbers = gathering()
    numbers.put(*range(6))
    assert [await numbers.take(), await numbers.take()] == [[0, 1, 2], [3, 4, 5]]


async def test_when_it_is_closed_the_rest_is_taken_and_then_nothing() -> None:
    numbers = gathering()
    numbers.put(1, 2, 3, 4)
    numbers.close()
    assert [await numbers.take() for _ in range(3)] == [[1, 2, 3], [4], []]


async def test_whoever_waits_for_a_first_item_learns_of_the_end() -> None:
    numbers = gathering()
    taking = asyncio.create_task(numbers.take())
    await asyncio.sleep(0)
    numbers.close()
    assert await taking == []


async def test_what_is_dropped_is_never_taken() -> None:
    numbers = gathering()
    numbers.put(1, 2, 3, 4)
    numbers.drop()
    numbers.put(5)
    numbers.close()
    assert [await numbers.take() for _ in range(2)] == [[5], []]
