"""Recorder: an instance that reads like a careless server and writes down every request it believes to see."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field

from tests.balancers.support import LOOPBACK

_REQUEST_LINE = re.compile(rb"(?:GET|POST|PUT|HEAD|PRI) (\S+) HTTP/\d")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Recorder:
    """All bytes of every connection. It answers whatever ends a head, whether or not a body follows."""

    port_number: int = 0
    streams: list[bytearray] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def start(self) -> Recorder:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port_number = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    def forget(self) -> None:
        """Begin anew, with the connections that HAProxy keeps."""
        for stream in self.streams:
            stream.clear()

    @property
    def paths(self) -> list[str]:
        """What a server that believed any framing could take for the path of a request, in order."""
        found = (_REQUEST_LINE.findall(bytes(stream)) for stream in self.streams)
        return [path.decode() for paths in found for path in paths]

    def heads(self, path: str) -> list[str]:
        """The heads of the requests for a path."""
        text = "\r\n\r\n".join(bytes(stream).decode("latin-1") for stream in self.streams)
        return [part for part in text.split("\r\n\r\n") if f" {path} HTTP/" in part]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream, tail = bytearray(), b""
        self.streams.append(stream)
        self._writers.append(writer)
        with suppress(OSError):
            while data := await reader.read(65536):
                stream += data
                ends = (tail + data).count(b"\r\n\r\n")
                tail = (tail + data)[-3:]
                writer.write(_ANSWER * ends)
                await writer.drain()
        writer.close()
