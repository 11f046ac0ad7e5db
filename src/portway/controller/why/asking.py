"""Asks one address how it answers: does it accept, what does it speak, which status and certificate. Concludes nothing.

Every question is bounded in time and bytes. Callers give it addresses of this machine or of its instances only.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote

from portway.core.facts import Answer, Reached, SeenCertificate

if TYPE_CHECKING:
    from cryptography import x509

ASK_TIMEOUT_S = 2.0
_HEAD_BYTES_MAX = 4096
_PATH_SAFE = "/?&=%:@!$'()*+,;~-._[]#"
_BLOCKED = (errno.EPERM, errno.EACCES)
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def ask(
    address: str,
    number: int,
    *,
    expects: str = "",
    path: str = "/",
    host: str = "",
    timeout_s: float = ASK_TIMEOUT_S,
) -> Answer:
    """Connect, and speak what is expected ("http", "https", "" = nothing); when that fails, find out what it speaks."""
    began_s = time.monotonic()
    question = _Question(address, number, path, host or address, timeout_s)
    reached = await question.knock()
    if reached is not Reached.CONNECTED or not expects:
        return Answer(reached=reached, took_ms=_since_ms(began_s))
    order = (question.plain, question.tls) if expects == "http" else (question.tls, question.plain)
    first = await order[0]()
    if _is_settled(first, expects) or first.detail == question.silence:
        return replace(first, took_ms=_since_ms(began_s))
    second = await order[1]()
    # A server that speaks only TLS often answers plain HTTP with status 400, and says so in TLS alone.
    better = second if second.speaks in ("http", "https", "tls") else first
    return replace(better, took_ms=_since_ms(began_s))


def _is_settled(answer: Answer, expects: str) -> bool:
    if expects == "https":
        return answer.speaks in ("https", "tls")
    return answer.status is not None and answer.status != 400


def _since_ms(began_s: float) -> int:
    return round((time.monotonic() - began_s) * 1000)


class _Question:
    """One address and what is asked of it."""

    def __init__(self, address: str, number: int, path: str, host: str, timeout_s: float) -> None:
        self._address = address
        self._number = number
        self._path = quote(path, safe=_PATH_SAFE)
        self._host = host
        self._timeout_s = timeout_s
        self.silence = f"it accepts connections and says nothing for {timeout_s:g} s"

    async def knock(self) -> Reached:
        """Whether it accepts a connection."""
        try:
            async with asyncio.timeout(self._timeout_s):
                _, writer = await self._open(None)
            writer.close()
        except TimeoutError:
            return Reached.TIMEOUT
        except OSError as error:
            if isinstance(error, ConnectionRefusedError):
                return Reached.REFUSED
            return Reached.BLOCKED if error.errno in _BLOCKED else Reached.UNREACHABLE
        return Reached.CONNECTED

    async def plain(self) -> Answer:
        """Ask in plain HTTP."""
        try:
            async with asyncio.timeout(self._timeout_s):
                streams = await self._open(None)
                return await self._request(streams, speaks="http")
        except TimeoutError:
            return _silent(self.silence)
        except (OSError, ValueError):
            return _silent("it closes the connection without an answer")

    async def tls(self) -> Answer:
        """Ask in TLS, and take any certificate: it is looked at, not trusted."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            async with asyncio.timeout(self._timeout_s):
                streams = await self._open(context)
        except (OSError, TimeoutError, ValueError):
            return Answer(reached=Reached.CONNECTED, detail="it does not speak TLS")
        certificate = _certificate(streams[1])
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._request(streams, speaks="https")
        except (OSError, TimeoutError, ValueError):
            answer = Answer(reached=Reached.CONNECTED, speaks="tls")
        speaks = answer.speaks if answer.speaks == "https" else "tls"
        return replace(answer, speaks=speaks, certificate=certificate)

    async def _open(self, context: ssl.SSLContext | None) -> _Streams:
        name = self._host if context is not None else None
        return await asyncio.open_connection(
            self._address, self._number, ssl=context, server_hostname=name, limit=_HEAD_BYTES_MAX
        )

    async def _request(self, streams: _Streams, *, speaks: str) -> Answer:
        reader, writer = streams
        try:
            host = self._host.encode("idna").decode() if not self._host.isascii() else self._host
            head = f"GET {self._path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: portway-why\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode())
            line = await reader.readline()
        finally:
            writer.close()
        words = line.split(b" ", 2)
        if not line:
            return _silent("it closes the connection without an answer")
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            return Answer(
                reached=Reached.CONNECTED, speaks="other", detail="what it answers is not HTTP"
            )
        return Answer(reached=Reached.CONNECTED, speaks=speaks, status=int(words[1]))


def _silent(detail: str) -> Answer:
    return Answer(reached=Reached.CONNECTED, detail=detail)


def _certificate(writer: asyncio.StreamWriter) -> SeenCertificate | None:
    connection = writer.get_extra_info("ssl_object")
    shown = connection.getpeercert(binary_form=True) if connection else None
    if not shown:
        return None
    from cryptography import x509  # 9 MB that a server without certificates need not hold

    try:
        return read_certificate(x509.load_der_x509_certificate(shown))
    except ValueError:
        return None


def read_certificate(certificate: x509.Certificate) -> SeenCertificate:
    """Its names and when it ends; the common name counts only where there is no other, as for browsers."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [
            *found.get_values_for_type(x509.DNSName),
            *map(str, found.get_values_for_type(x509.IPAddress)),
        ]
    except x509.ExtensionNotFound:
        names = [
            str(attribute.value)
            for attribute in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        ]
    ends_ms = int(certificate.not_valid_after_utc.timestamp() * 1000)
    self_signed = certificate.issuer == certificate.subject
    return SeenCertificate(names=tuple(names), expires_at_ms=ends_ms, self_signed=self_signed)


async def resolve(host: str, *, timeout_s: float = 3.0) -> tuple[str, ...]:
    """The addresses a host name means, IPv4 first; () when it means none in time."""
    with suppress(ValueError):
        return (str(ip_address(host)),)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return ()
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return tuple(sorted(addresses, key=lambda address: ":" in address))


def is_of_this_machine(address: str) -> bool:
    """Whether the kernel would let us be that address; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
