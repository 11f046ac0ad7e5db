"""The kernel's sockets by sock_diag(7), the netlink way that `ss` goes: a dump takes 0.2 ms where /proc/net/tcp takes 5.

OSError where the kernel does not offer it; the caller then reads /proc/net. Reads only.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from portway.core.ports import PortRange

EVERY_STATE = 0xFFFFFFFF  # bit 13 as well: since Linux 6.8 sockets that are bound and nothing else
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_AND_DUMP = 0x301
_ERROR, _DONE = 2, 3
_BUFFER_BYTES = 1 << 16
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, pid
_REQUEST = struct.Struct("=BBBxI48x")  # family, transport, extensions, states; any socket id
_ANSWER = struct.Struct("=BBxx2s2s16s16s12x12xII")  # inet_diag_msg: ... uid, inode at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagSocket:
    """One inet_diag_msg, in the types of this language. `state` as in tcp_states.h."""

    state: int
    address: str
    port_number: int
    remote_address: str
    remote_port_number: int
    uid: int
    inode: int


def dump_sockets(
    family: int, transport: int, within: PortRange, *, states: int = EVERY_STATE
) -> Iterator[DiagSocket]:
    """The sockets of a family (AF_INET, AF_INET6) and transport (IPPROTO_TCP, IPPROTO_UDP) with a local port `within`.

    `states` has bit n set for each TCP state n that is wanted.
    """
    body = _REQUEST.pack(family, transport, 0, states)
    header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_AND_DUMP, 1, 0)
    netlink = getattr(socket, "AF_NETLINK", None)
    if netlink is None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    with closing(socket.socket(netlink, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)) as kernel:
        kernel.sendto(header + body, (0, 0))
        for kind, payload in _messages(kernel):
            if kind == _ERROR:
                code = -int.from_bytes(payload[:4], sys.byteorder, signed=True)
                raise OSError(code, os.strerror(code))
            number = int.from_bytes(payload[4:6], "big")
            if number in within:
                yield _parse(payload, number)


def _messages(kernel: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        data = kernel.recv(_BUFFER_BYTES)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _DONE:
                return
            yield kind, data[at + _HEADER.size : at + length]
            at += (length + 3) & ~3


def _parse(payload: bytes, number: int) -> DiagSocket:
    family, state, _, dport, source, target, uid, inode = _ANSWER.unpack_from(payload)
    return DiagSocket(
        state=state,
        address=_address(family, source),
        port_number=number,
        remote_address=_address(family, target),
        remote_port_number=int.from_bytes(dport, "big"),
        uid=uid,
        inode=inode,
    )


@lru_cache(maxsize=1024)
def _address(family: int, raw: bytes) -> str:
    if family == socket.AF_INET:
        return str(IPv4Address(raw[:4]))
    parsed = IPv6Address(raw)
    return str(parsed.ipv4_mapped or parsed)
