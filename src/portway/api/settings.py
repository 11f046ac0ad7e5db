"""ApiSettings: what the HTTP side can be told. It decides who may listen where; it opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from portway.core.errors import RequestError

_PORT_MAX = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """A host (name or address, without brackets) and a TCP port; port_number 0 = any free one."""

    host: str
    port_number: int

    @property
    def is_loopback(self) -> bool:
        """Only this machine can connect to it."""
        return is_loopback(self.host)

    @property
    def is_wildcard(self) -> bool:
        """It stands for every address of the machine."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104  (compared with, not bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Settings of the HTTP API. `listen` and `token` as in Config; `host_names` are further names clients may use.

    `tokens`: the folder of further tokens, each with a role.

    `heartbeat_s`: an idle stream says so that often. `first_answer_s`: how long a stream waits for its
    first line before it answers 200, so that an early failure still gets its own HTTP status.
    """

    token: str = ""
    tokens: Path | None = None
    listen: str = ""
    host_names: tuple[str, ...] = ()
    body_size_max_bytes: int = 16 * 1024 * 1024
    body_timeout_s: float = 30.0
    heartbeat_s: float = 15.0
    first_answer_s: float = 0.5


def parse_listen(listen: str) -> ListenAddress:
    """ "127.0.0.1:8080", "[::1]:8080", "localhost:8080" or ":8080" (every address); RequestError for anything else."""
    host, colon, number = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    if not colon or not number.isascii() or not number.isdigit() or (":" in bare and not bracketed):
        raise RequestError(
            f'"{listen}" is not an address to listen on.',
            hint="Write host:port, for instance 127.0.0.1:8080 or [::1]:8080.",
        )
    if len(number) > 5 or int(number) > _PORT_MAX:
        raise RequestError(
            f'The port of "{listen}" is out of range.', hint="Ports go from 1 to 65535."
        )
    return ListenAddress(host=bare or "0.0.0.0", port_number=int(number))  # noqa: S104


def check_settings(settings: ApiSettings) -> None:
    """RequestError when the API would face a network without a token."""
    has_tokens = settings.tokens is not None and settings.tokens.is_dir()
    if not settings.listen or settings.token or has_tokens:
        return
    if not parse_listen(settings.listen).is_loopback:
        raise RequestError(
            f"portway does not listen on {settings.listen} without a token: whoever can reach it could run anything here.",
            hint="Set PORTWAY_TOKEN to a long random text, make a token with `portway token create`, "
            "or listen on 127.0.0.1.",
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine and nobody else can connect to it."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
