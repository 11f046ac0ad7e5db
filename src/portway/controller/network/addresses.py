"""LoadBalancerAddresses: an address of its own for each load balancer, and a name that this machine resolves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from portway.controller.network.hosts_file import HostsFile
from portway.core.errors import WorldError
from portway.core.network.names import free_address, load_balancer_name
from portway.store.base import Document, Documents

KIND = "elb.address"

log = structlog.get_logger("portway.network")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Where a load balancer answers. `dns_name` is the address itself where no name can be kept."""

    address: str
    dns_name: str


class LoadBalancerAddresses:
    """Addresses out of one network, by ARN. They are stored, so they stay over restarts and until they are released."""

    def __init__(
        self, documents: Documents, *, home_id: str, region: str, network: str, hosts: Path | None
    ) -> None:
        self._documents = documents
        self._home_id = home_id
        self._region = region
        self._network = network
        self._hosts = HostsFile(hosts, home_id) if hosts is not None else None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Put the block of names right: someone may have changed it, or it is another machine's."""
        async with self._lock:
            await self._write_names(await self._documents.list(KIND))

    async def assign(self, arn: str, name: str, *, internal: bool = False) -> Assigned:
        """The load balancer's address and name; the same ones when it has them already.

        WorldError when every address is taken.
        """
        async with self._lock:
            stored = await self._documents.list(KIND)
            found = next((document for document in stored if document.key == arn), None)
            if found is not None:
                return _assigned(found)
            address = await self._free(stored)
            is_named = self._hosts is not None and self._hosts.is_writable
            dns_name = load_balancer_name(name, arn, self._region, internal=internal) if is_named else address  # fmt: skip
            body = {"address": address, "dns_name": dns_name}
            made = await self._documents.put(KIND, arn, body, 0)
            await self._write_names((*stored, made))
            return _assigned(made)

    async def release(self, arn: str) -> None:
        """Give an address back and forget its name. Unknown: nothing."""
        async with self._lock:
            if await self._documents.delete(KIND, arn):
                await self._write_names(await self._documents.list(KIND))

    async def forget_names(self) -> None:
        """Remove the whole block; the addresses stay. For a portway that leaves the machine."""
        async with self._lock:
            await self._write_names(())

    async def _free(self, stored: Iterable[Document]) -> str:
        others: frozenset[str] = frozenset()
        if self._hosts is not None:
            others = await asyncio.to_thread(self._hosts.addresses)
        taken = others | {document.body["address"] for document in stored}
        address = free_address(self._network, taken, seed=self._home_id)
        if address is None:
            raise WorldError(
                f"Every address of {self._network} has a load balancer.",
                hint="Delete one, or give the server a larger aws-load-balancer-addresses.",
            )
        return address

    async def _write_names(self, stored: Iterable[Document]) -> None:
        """What cannot be written is logged: the address answers all the same."""
        if self._hosts is None:
            return
        names = {
            body["dns_name"]: body["address"]
            for body in (document.body for document in stored)
            if body["dns_name"] != body["address"]
        }
        if not self._hosts.is_writable:
            if names:
                log.warning("hosts_file_not_writable", names=len(names))
            return
        try:
            await asyncio.to_thread(self._hosts.write, names)
        except OSError as error:
            log.warning("hosts_file_not_written", error=str(error), names=len(names))


def _assigned(document: Document) -> Assigned:
    return Assigned(address=document.body["address"], dns_name=document.body["dns_name"])
