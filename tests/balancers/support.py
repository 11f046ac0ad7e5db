"""Small real instances, clients and values for the balancer's tests."""

from __future__ import annotations

import asyncio
import datetime
import random
import shutil
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.app import ListenerSpec
from portway.core.errors import BalancerError
from portway.core.routes import Endpoint, EndpointState, Route, RouteKey
from portway.core.stack import Certificate

LOOPBACK = "127.0.0.1"
needs_haproxy = [
    pytest.mark.haproxy,
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed"),
]


def free_service_port() -> int:
    """A port nobody listens on, outside the range outgoing connections take theirs from."""
    while True:
        candidate = random.randrange(20000, 30000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, candidate))
            return candidate


def make_endpoint(
    instance: EchoInstance, *, name: str = "", state: EndpointState = EndpointState.READY
) -> Endpoint:
    return Endpoint(
        instance_id=name or instance.name,
        address=LOOPBACK,
        port_number=instance.port_number,
        state=state,
    )


def make_route(
    service_port: int,
    *endpoints: Endpoint,
    owner: str = "shop/web",
    listener: ListenerSpec | None = None,
    certificates: tuple[str, ...] = (),
) -> Route:
    return Route(
        key=RouteKey(address=LOOPBACK, service_port=service_port),
        owner=owner,
        port_name="web",
        listener=listener or ListenerSpec(),
        certificates=certificates,
        endpoints=endpoints,
    )


def make_certificate(name: str, *domains: str, rsa_bits: int = 0) -> Certificate:
    """A fresh self-signed certificate for `domains`."""
    key = (
        rsa.generate_private_key(65537, rsa_bits)
        if rsa_bits
        else ec.generate_private_key(ec.SECP256R1())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domains[0])])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(d) for d in domains]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Certificate(
        name=name,
        target="shop/web:443",
        pem=pem.decode(),
        domains=domains,
        expires_at_ms=0,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


class EchoInstance:
    """Answers HTTP with the head it got, anything else with its name and the same bytes.

    `/hold` is answered once `hold` is set, `/later` after a moment. `heads` are the HTTP heads it got, `proxied` the PROXY lines, `connections` how many it took.
    """

    def __init__(self, name: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.port_number = 0
        self.hold = asyncio.Event()
        self.heads: list[str] = []
        self.proxied: list[str] = []
        self.connections = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> EchoInstance:
        self._server = await asyncio.start_server(
            self._serve, LOOPBACK, self.port_number, ssl=self._tls
        )
        self.port_number = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self.hold.set()
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            first = await reader.read(1)
            if first == b"P" and (second := await reader.read(1)) == b"R":
                self.proxied.append((first + second + await reader.readline()).decode().strip())
                first = await reader.read(1)
            elif first == b"P":
                first += second
            if first and first[:1].isalpha():
                await self._serve_http(first, reader, writer)
            else:
                await self._serve_tcp(first, reader, writer)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_http(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
            first = b""
            self.heads.append(head)
            await reader.readexactly(int(header_of(head, "content-length") or 0))
            if header_of(head, "transfer-encoding"):
                await reader.readuntil(b"0\r\n\r\n")
            if head.split()[1] == "/hold":
                await self.hold.wait()
            if head.split()[1] == "/later":
                await asyncio.sleep(0.2)
            body = head.encode()
            writer.write(
                f"HTTP/1.1 200 OK\r\nX-Instance: {self.name}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await writer.drain()

    async def _serve_tcp(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        data = first and first + await reader.read(4096)
        while data:
            writer.write(self.name.encode() + b":" + data)
            await writer.drain()
            data = await reader.read(4096)


def header_of(head: str, name: str) -> str:
    """The value of a header in an HTTP head; "" when absent."""
    return ", ".join(headers_of(head, name))


def headers_of(head: str, name: str) -> list[str]:
    lines = [line.partition(":") for line in head.split("\r\n")[1:] if ":" in line]
    return [value.strip() for key, _, value in lines if key.strip().lower() == name.lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer; `instance` is who gave it, "" for HAProxy itself."""

    status: int
    head: str
    body: str

    @property
    def instance(self) -> str:
        return header_of(self.head, "x-instance")

    def __getitem__(self, name: str) -> str:
        return header_of(self.head, name)


@dataclass(slots=True)
class Connection:
    """A client connection that can send several requests or plain bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: list[str] = field(default_factory=list)

    async def request(
        self, path: str = "/", *headers: str, method: str = "GET", body: str = ""
    ) -> Answer:
        await self.send_request(path, *headers, method=method, body=body)
        return await self.answer()

    async def send_request(
        self, path: str = "/", *headers: str, method: str = "GET", body: str = ""
    ) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: shop.test", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        await self.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    async def answer(self) -> Answer:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = header_of(head, "content-length")
            body = await (self.reader.readexactly(int(length)) if length else self.reader.read())
        return Answer(status=int(head.split()[1]), head=head, body=body.decode())

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self) -> bytes:
        async with asyncio.timeout(10):
            try:
                return await self.reader.read(65536)
            except ConnectionResetError:
                return b""

    async def close(self) -> None:
        self.writer.close()


async def connect(
    service_port: int, *, tls: ssl.SSLContext | None = None, sni: str | None = None
) -> Connection:
    reader, writer = await asyncio.open_connection(
        LOOPBACK, service_port, ssl=tls, server_hostname=sni or ("" if tls else None)
    )
    return Connection(reader, writer)


async def fetch(service_port: int, path: str = "/", *headers: str, **how: str) -> Answer:
    """One request on a connection of its own."""
    connection = await connect(service_port)
    try:
        return await connection.request(path, "Connection: close", *headers, **how)
    finally:
        await connection.close()


def client_tls(*alpn: str) -> ssl.SSLContext:
    """A client context that trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


async def served_domain(service_port: int, sni: str | None = None) -> str:
    """The common name of the certificate a TLS client is shown."""
    connection = await connect(service_port, tls=client_tls(), sni=sni)
    try:
        der = connection.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        await connection.close()
    name = x509.load_der_x509_certificate(der).subject
    return str(name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


async def eventually(true: Callable[[], bool | Awaitable[bool]], *, within_s: float = 10.0) -> None:
    """Return once it is true; fail when it is not in time."""
    deadline_s = time.monotonic() + within_s
    while True:
        value = true()
        if value if isinstance(value, bool) else await value:
            return
        assert time.monotonic() < deadline_s, "it did not become true in time"
        await asyncio.sleep(0.01)


async def restarted(balancer: HAProxyBalancer, before: int) -> bool:
    """Whether HAProxy has been started again since it had been `before` times."""
    try:
        return (await balancer.info()).restarts > before
    except BalancerError:
        return False
