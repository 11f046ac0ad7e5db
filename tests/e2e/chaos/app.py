"""The app that the faults are tried on: run as a process, told by variables how to behave. Holds no test.

    GET /        its TEXT, or "early" with 503 while it is not ready yet
    GET /up      200 once it is ready: READY_AFTER_S after its start, and once READY_FILE is there
    GET /slow    an answer whose body takes ?s= seconds
    POST /       notes the body in LEDGER before it answers; a body that begins with "die" kills the app unanswered
    GET /ws      a WebSocket that echoes
ON_TERM: graceful (finish what is under way), abrupt (end at once), deaf (ignore SIGTERM). LIFE_S: exit 3 after that. DIE_FILE: exit 3 once it is there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from aiohttp import WSMsgType, web

TEXT = os.environ["TEXT"]
LEDGER = Path(os.environ["LEDGER"])
READY_FILE = os.environ.get("READY_FILE", "")
READY_AFTER_S = float(os.environ.get("READY_AFTER_S", "0"))
LIFE_S = float(os.environ.get("LIFE_S", "0"))
DIE_FILE = os.environ.get("DIE_FILE", "")
ON_TERM = os.environ.get("ON_TERM", "graceful")
BEGAN_S = time.monotonic()


def ready() -> bool:
    waited = time.monotonic() - BEGAN_S >= READY_AFTER_S
    return waited and (not READY_FILE or Path(READY_FILE).exists())


def note(line: str) -> None:
    with LEDGER.open("a") as ledger:
        ledger.write(line + "\n")


async def home(_: web.Request) -> web.Response:
    return web.Response(text=TEXT) if ready() else web.Response(text="early", status=503)


async def up(_: web.Request) -> web.Response:
    return web.Response(text=TEXT, status=200 if ready() else 503)


async def slow(request: web.Request) -> web.StreamResponse:
    note(f"slow {TEXT}")
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"begun ")
    await asyncio.sleep(float(request.query["s"]))
    await answer.write(f"ended {TEXT}".encode())
    await answer.write_eof()
    return answer


async def take(request: web.Request) -> web.Response:
    body = await request.text()
    note(body)
    if body.startswith("die"):
        os._exit(9)
    return web.Response(text=f"taken {body}")


async def echo(request: web.Request) -> web.WebSocketResponse:
    talk = web.WebSocketResponse()
    await talk.prepare(request)
    async for message in talk:
        if message.type is WSMsgType.TEXT:
            await talk.send_str(f"{TEXT} {message.data}")
    return talk


def watch_file() -> None:
    if Path(DIE_FILE).exists():
        os._exit(3)
    asyncio.get_running_loop().call_later(0.05, watch_file)


async def live(_: web.Application) -> None:
    if ON_TERM == "deaf":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    if ON_TERM == "abrupt":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if DIE_FILE:
        watch_file()
    if LIFE_S:
        asyncio.get_running_loop().call_later(LIFE_S, os._exit, 3)


def main() -> None:
    app = web.Application()
    app.add_routes(
        [
            web.get("/", home),
            web.get("/up", up),
            web.get("/slow", slow),
            web.post("/", take),
            web.get("/ws", echo),
        ]
    )
    app.on_startup.append(live)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        print=None,
        access_log=None,
        handle_signals=ON_TERM == "graceful",
        shutdown_timeout=30,
    )


if __name__ == "__main__":
    main()
