"""An instance's output as Docker keeps it -> LogLines. Reading is bounded only by the instance's own life."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from portway.engines.base import LogLine, Stream
from portway.engines.docker.client import DockerClient
from portway.engines.docker.observe import unix_ms

_HEADER_BYTES = 8
_PIECE_BYTES = (
    16 * 1024
)  # Docker stores longer lines in pieces of this size, each with its own time
_LINE_BYTES_MAX = 1024 * 1024  # a line without end is cut here rather than kept in memory for ever


class Frames:
    """Bytes as they come -> whole (stream, payload) frames of Docker's multiplexed format."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Stream, bytes]]:
        """The frames that `data` completes."""
        self._rest += data
        while len(self._rest) >= _HEADER_BYTES:
            end = _HEADER_BYTES + int.from_bytes(self._rest[4:_HEADER_BYTES], "big")
            if len(self._rest) < end:
                return
            stream = Stream.STDERR if self._rest[0] == 2 else Stream.STDOUT
            payload = bytes(self._rest[_HEADER_BYTES:end])
            del self._rest[:end]
            yield stream, payload


class Lines:
    """Timestamped pieces of output -> LogLines; what was stored in pieces becomes one line again."""

    def __init__(self, member: str = "") -> None:
        self._member = member
        self._begun: dict[Stream, tuple[int, bytes]] = {}

    def add(self, stream: Stream, payload: bytes) -> Iterator[LogLine]:
        """The line that this piece ends, if it ends one."""
        stamp, _, text = payload.partition(b" ")
        at_ms, begun = self._begun.pop(stream, (_stamp_ms(stamp), b""))
        whole = begun + text
        if whole.endswith(b"\n") or len(whole) > _LINE_BYTES_MAX:
            yield self._line(at_ms, stream, whole)
        else:
            self._begun[stream] = (at_ms, whole)

    def rest(self) -> Iterator[LogLine]:
        """Output that ended without a newline."""
        for stream, (at_ms, text) in self._begun.items():
            yield self._line(at_ms, stream, text)
        self._begun.clear()

    def _line(self, at_ms: int, stream: Stream, text: bytes) -> LogLine:
        content = text.removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace")
        return LogLine(at_ms=at_ms, stream=stream, text=content, container=self._member)


class TerminalPieces:
    """A terminal's output comes without frames: cut it into the pieces Docker stored."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Stream, bytes]]:
        """The pieces that `data` completes."""
        self._rest += data
        while (size := self._piece_size()) is not None:
            piece = bytes(self._rest[:size])
            del self._rest[:size]
            yield Stream.STDOUT, piece

    def rest(self) -> Iterator[tuple[Stream, bytes]]:
        """What was left without a newline."""
        if self._rest:
            yield Stream.STDOUT, bytes(self._rest)
            self._rest.clear()

    def _piece_size(self) -> int | None:
        longest = self._rest.find(b" ") + 1 + _PIECE_BYTES
        newline = self._rest.find(b"\n", 0, longest + 1)
        if newline >= 0:
            return newline + 1
        return longest if len(self._rest) > longest else None


async def read_logs(
    client: DockerClient,
    container: str,
    *,
    tty: bool,
    follow: bool,
    tail: int | None,
    is_running: Callable[[], Awaitable[bool]],
    member: str = "",
) -> AsyncIterator[LogLine]:
    """The container's lines; with `follow` until it ends, even if the daemon forgets to end the stream.

    `member`: its name among the containers of its instance, which the lines carry.
    """
    params = {
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "follow": "1" if follow else "0",
        "tail": "all" if tail is None else str(tail),
    }
    pieces = TerminalPieces() if tty else Frames()
    lines = Lines(member)
    async with client.stream("GET", f"containers/{container}/logs", params=params) as bits:
        async for bit in bits:
            if not bit and not await is_running():
                break
            for stream, payload in pieces.feed(bit):
                for line in lines.add(stream, payload):
                    yield line
    if isinstance(pieces, TerminalPieces):
        for stream, payload in pieces.rest():
            for line in lines.add(stream, payload):
                yield line
    for line in lines.rest():
        yield line


def _stamp_ms(stamp: bytes) -> int:
    return unix_ms(stamp.decode("ascii", errors="replace")) or 0
