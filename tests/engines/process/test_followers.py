from __future__ import annotations

import asyncio

from portway.engines.process.followers import Followers


async def test_finish_waits_for_every_reader_of_that_instance_and_for_no_other() -> None:
    followers = Followers()
    with followers.reading("s/web.1.2"):
        async with asyncio.TaskGroup() as group:
            with followers.reading("s/web.1.1"), followers.reading("s/web.1.1"):
                waiter = group.create_task(followers.finish("s/web.1.1", within_s=30))
                await asyncio.sleep(0)
                assert not waiter.done()
            await waiter


async def test_a_reader_that_does_not_read_on_is_not_waited_for() -> None:
    followers = Followers()
    with followers.reading("s/web.1.1"):
        await followers.finish("s/web.1.1", within_s=0.01)
