"""A unix socket in front of the real daemon, whose answers can be lost, cut or frozen. Holds no test."""

from __future__ import annotations

import asyncio
from pathlib import Path

DAEMON = "/var/run/docker.sock"


class Wire:
    """Forwards every connection to the daemon until told otherwise."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0
        self._lose = b""
        self._thaw = asyncio.Event()
        self._thaw.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def docker_host(self) -> str:
        return f"unix://{self.path}"

    async def listen(self) -> None:
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, str(self.path))

    async def deafen(self) -> None:
        """Stop listening and drop every connection, as a daemon that ends."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Drop every connection; new ones are served."""
        for writer in list(self._writers):
            writer.close()

    def freeze(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._thaw.clear()

    def thaw(self) -> None:
        self._thaw.set()

    def lose_answer_to(self, request: bytes) -> None:
        """The next request that contains these bytes is carried out, but its answer never arrives."""
        self._lose = request

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        there, back = await asyncio.open_unix_connection(DAEMON)
        self._writers |= {writer, back}
        doomed = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, back, doomed, answers=False))
                group.create_task(self._forward(there, writer, doomed, answers=True))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers -= {writer, back}
            self._tasks.discard(task)
            writer.close()
            back.close()

    async def _forward(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        doomed: asyncio.Event,
        *,
        answers: bool,
    ) -> None:
        while data := await source.read(65536):
            await self._thaw.wait()
            if not answers and self._lose and self._lose in data:
                self._lose = b""
                doomed.set()
            if answers and doomed.is_set():
                raise ConnectionResetError
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
