"""Work that takes long leaves its place to others, and has an owner until its end."""

import asyncio

import pytest

from pushsvc.planning.parking import Lot


def lot(*, places: int = 1, end_seconds: float = 60) -> Lot:
    return Lot(places=places, after_seconds=0.01, end_seconds=end_seconds)


async def test_work_that_takes_long_goes_on_beside_its_place() -> None:
    """The place is free before the work is done; the lot owns it until then."""
    opened, released = lot(), asyncio.Event()

    async def work() -> None:
        await released.wait()

    await opened.run(work(), name="slow")

    (parked,) = opened.parked
    assert not parked.done()
    released.set()
    await parked
    assert opened.parked == []


async def test_a_full_lot_leaves_work_in_its_place_until_there_is_room() -> None:
    """No more than its places go on beside the lane."""
    opened, released = lot(), asyncio.Event()

    async def work() -> None:
        await released.wait()

    await opened.run(work(), name="first")
    second = asyncio.create_task(opened.run(work(), name="second"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(second), 0.05)
    assert [task.get_name() for task in opened.parked] == ["first"]

    opened.parked[0].cancel()
    await second
    assert [task.get_name() for task in opened.parked] == ["second"]
    released.set()
    await asyncio.gather(*opened.parked)


async def test_a_lot_that_is_closed_parks_nothing_more() -> None:
    """When a worker ends it waits for the places, and for what was parked before."""
    opened, released = lot(), asyncio.Event()

    async def work() -> None:
        await released.wait()

    running = asyncio.create_task(opened.run(work(), name="slow"))
    opened.close()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(running), 0.05)

    assert opened.parked == []
    released.set()
    await running


async def test_an_error_is_its_callers_and_a_cancellation_waits_for_the_end() -> None:
    """What work writes down when it is cancelled is written before its place is free."""

    async def fails() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await lot().run(fails(), name="fails")

    written = False

    async def writes() -> None:
        nonlocal written
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            written = True

    running = asyncio.create_task(lot(places=0).run(writes(), name="writes"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert written


async def test_no_work_goes_on_for_ever() -> None:
    """Parked or not."""
    opened = lot(end_seconds=0.03)
    await opened.run(asyncio.Event().wait(), name="hangs")  # type: ignore[arg-type]

    with pytest.raises(TimeoutError):
        await opened.parked[0]
