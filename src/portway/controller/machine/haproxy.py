"""The checks of HAProxy: is it there, new enough, built as it must be, and what of it is known to be open."""

from __future__ import annotations

import re
from collections.abc import Iterator

from portway.controller.machine.base import NOT_THERE, Finding, Ground, error, ok, warning
from portway.controller.machine.docker import hole_findings
from portway.controller.machine.holes import HAPROXY, parse_version

LEAST = (2, 4, 0)  # servers are added and removed through its socket since then
_CONNECTIONS_WANTED = 1024


def check_haproxy(ground: Ground) -> Iterator[Finding]:
    """Everything `haproxy -vv` tells, and whether the file limit lets it serve."""
    program = ground.config.haproxy
    said = ground.run([program, "-vv"])
    if ground.config.engine == "memory":
        return
    if said.code == NOT_THERE:
        fix = "install it with `apt-get install haproxy`, or name it with PORTWAY_HAPROXY"
        yield error("haproxy", f"HAProxy is not installed: there is no program {program}", fix)
        return
    match = re.search(r"version (\S+)", said.output)
    version = parse_version(match[1]) if match else None
    if match is None or version is None:
        text = f"{program} does not say which HAProxy it is (exit code {said.code})"
        yield error("haproxy", text, "name the right program with PORTWAY_HAPROXY")
        return
    if version < LEAST:
        least = ".".join(map(str, LEAST[:2]))
        text = f"HAProxy {match[1]} is too old: portway needs {least} or newer"
        yield error("haproxy", text, "upgrade HAProxy")
    else:
        yield ok("haproxy", f"HAProxy {match[1]} is installed")
    features = set(re.findall(r"[+]([A-Z0-9_]+)", said.output))
    yield _tls(said.output, features)
    for hole in HAPROXY:
        met = hole.needs in ("", *features)
        yield from hole_findings("haproxy holes", "HAProxy", match[1], hole, is_met=met)


def _tls(output: str, features: set[str]) -> Finding:
    if "OPENSSL" not in features:
        text = "this HAProxy is built without OpenSSL, so no listener can have a certificate"
        return error("haproxy tls", text, "install one that has it (`haproxy -vv` says +OPENSSL)")
    match = re.search(r"Running on OpenSSL version : (.+)", output)
    return ok("haproxy tls", f"it has TLS ({match[1].strip() if match else 'OpenSSL'})")


def check_file_limit(ground: Ground) -> Iterator[Finding]:
    """Two descriptors a connection, and some for listeners: what the hard limit allows."""
    hard = ground.file_limit
    connections = min(65536, max(256, (hard - hard // 8 - 128) // 2))
    text = f"the limit of {hard} open files allows HAProxy {connections} connections at once"
    if connections < _CONNECTIONS_WANTED:
        fix = (
            "raise it: `ulimit -Hn 65536`, or LimitNOFILE=65536 in the unit that starts the server"
        )
        yield warning("file limit", text, fix)
    else:
        yield ok("file limit", text if hard < 2**31 else "open files are not limited")
