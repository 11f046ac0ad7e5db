"""Asker: one question of a check to one address, and what was answered; what that means is for who asks."""

from __future__ import annotations

import asyncio
import ssl

from portway.controller.health.checks import (
    STATUS_LINE_BYTES_MAX,
    ask,
    refuse_late,
    status_of,
)
from portway.core.app import CheckKind, HealthCheck


class Asker:
    """Asks over the network. `agent`: as whom, in User-Agent."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        # Who is checked has a certificate of its own that seldom says its address: that it speaks TLS is enough.
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    async def ask(self, check: HealthCheck, address: str, number: int) -> int | None:
        """The status of the answer; None when it is not HTTP, and once connected where a connection is all that is asked.

        Raises what the connection failed with, TimeoutError, or CheckNotMadeError.
        """
        match check.kind:
            case CheckKind.HTTP:
                request = self._request(check, address, number)
                return status_of(await ask(address, number, request, timeout_s=check.timeout_s))
            case CheckKind.HTTPS | CheckKind.TLS:
                return await self._secured(check, address, number)
            case _:
                await ask(address, number, b"", timeout_s=check.timeout_s)
                return None

    async def _secured(self, check: HealthCheck, address: str, number: int) -> int | None:
        deadline_s = asyncio.get_running_loop().time() + check.timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                return await self._secured_status(check, address, number)
        except TimeoutError:
            refuse_late(deadline_s)
            raise

    async def _secured_status(self, check: HealthCheck, address: str, number: int) -> int | None:
        reader, writer = await asyncio.open_connection(
            address,
            number,
            ssl=self._tls,
            server_hostname=check.host.partition(":")[0] or address,
            ssl_shutdown_timeout=check.timeout_s,
            limit=STATUS_LINE_BYTES_MAX,
        )
        try:
            if check.kind is CheckKind.TLS:
                return None
            writer.write(self._request(check, address, number))
            return status_of(await reader.readline())
        except (ValueError, asyncio.LimitOverrunError):
            return None
        finally:
            writer.close()

    def _request(self, check: HealthCheck, address: str, number: int) -> bytes:
        host = check.host or f"{f'[{address}]' if ':' in address else address}:{number}"
        return (
            f"{check.method} {check.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {self._agent}\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        ).encode()
