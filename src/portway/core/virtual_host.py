"""VirtualHost and JointPort: how a port of an App is behind listeners that Apps share. Values alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """Requests to one of `hosts`, whose path begins with `path` ("" = any), are the port's.

    A host may hold `*`. `redirects`: plain HTTP is sent to HTTPS. `weight`: larger ones are tried first. `certificate`: the
    file, in the directory for them, that HTTPS answers with for these hosts; "" = certificates bound to the port alone.
    """

    hosts: tuple[str, ...]
    path: str = ""
    redirects: bool = False
    weight: int = 0
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointPort:
    """A listener that the port shares with ports of other Apps of one `group`, besides its own: a request goes to any instance."""

    group: str
    service_port: int
