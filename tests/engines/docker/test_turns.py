"""Turns exclude each other, end with their holder, and never wait for ever."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from secrets import token_hex

from portway.engines.docker.turns import turn


async def test_two_never_have_the_same_turn_at_once() -> None:
    name, inside, seen = token_hex(4), 0, []

    async def take() -> None:
        nonlocal inside
        async with turn(name):
            inside += 1
            seen.append(inside)
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(take())
    assert seen == [1] * 5


async def test_turns_of_other_names_do_not_wait() -> None:
    async with turn(token_hex(4)), turn(token_hex(4)):
        pass


async def test_a_turn_ends_with_the_process_that_held_it() -> None:
    name = token_hex(4)
    hold = f"import socket,sys; s=socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind('\\0portway/turn/{name}'); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_taken(name))
        await asyncio.sleep(0)
        assert not waiting.done()
        holder.kill()
        holder.communicate()
    assert waiting.result()


async def _taken(name: str) -> bool:
    async with turn(name):
        return True


async def test_a_holder_that_never_ends_is_not_waited_for_for_ever() -> None:
    name = token_hex(4)
    async with turn(name), turn(name, patience_s=0.05):
        pass
