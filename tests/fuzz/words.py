"""Targets: short texts that mean something (sizes, queries, selectors, addresses), and what other programs say of themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from portway.api.aws.wire.sigv4 import (
    Incomplete,
    Mismatch,
    SentRequest,
    check_signature,
    read_signature,
)
from portway.api.aws.wire.times import read_time
from portway.balancers.haproxy import readback
from portway.balancers.haproxy.readback import ServerKey
from portway.balancers.haproxy.request_log import RequestLog
from portway.cli.ignore import parse_ignore
from portway.cli.moments import parse_moment, parse_window
from portway.config import load_config
from portway.controller.past import map_of
from portway.core.cluster_query import Mistake, NodeFacts, holds, parse_query, pattern_fault
from portway.core.diagnosis_address import parse_subject
from portway.core.environment import expand
from portway.core.errors import EngineError, RequestError, StoreError
from portway.core.health import parse_statuses
from portway.core.listen_address import is_host, is_loopback, split_listen
from portway.core.log_filter import log_filter
from portway.core.marathon.names import parse_task_name, parse_time
from portway.core.marathon.selector import SelectorError, parse_selector
from portway.core.ownership import Change, Holding, HoldingKind, Mark, Past, held
from portway.core.policy import parse_policy
from portway.engines.docker.api import BuildMessage, Container, ContainerSummary, DaemonEvent
from portway.engines.docker.command import identity_from_labels
from portway.engines.docker.errors import DockerRefusal, explain, tidy
from portway.engines.docker.images import Layers
from portway.engines.docker.logs import Frames, Lines, TerminalPieces
from portway.engines.docker.observe import Seen, is_instance, observed
from portway.engines.process.kernel import parse_signal, parse_stat
from portway.manifests.compose_values import parse_duration, parse_size
from portway.manifests.ecs_values import cpu_units, memory_mib, port_range
from portway.manifests.marathon.constraints import constraint_error
from portway.manifests.tree import parse_boolean, parse_number
from portway.store.codec import decode, encode
from tests.balancers.haproxy.test_readback import SERVERS
from tests.balancers.haproxy.test_request_lines import HTTP, INSTANCES, OWNERS, TCP
from tests.fuzz.base import Target, choosing, chosen, refusing
from tests.store import samples

_NOW = datetime(2026, 11, 21, tzinfo=UTC)
_FACTS = NodeFacts(attributes={"zone": "a", "n": "3"}, groups=frozenset({"service:web"}), agent_version="1.2.3")  # fmt: skip


def _query(text: str) -> None:
    query = parse_query(text)
    if not isinstance(query, Mistake):
        holds(query, _FACTS)


def _filter(text: str) -> None:
    pattern, _, message = text.partition("\n")
    log_filter(pattern)(message)


def _listen(text: str) -> None:
    host, _ = split_listen(text)
    is_host(host, bracketed="[" in text)
    is_loopback(host)


def _constraint(text: str) -> None:
    constraint_error(text.split("\n"))
    pattern_fault(text)


def _quantity(text: str) -> None:
    for read in (parse_duration, parse_size, parse_number, parse_boolean, cpu_units, memory_mib, port_range, parse_signal, parse_statuses, read_time, parse_time):  # fmt: skip
        read(text)


def _ignore(text: str) -> None:
    patterns, _, path = text.rpartition("\n")
    parse_ignore(patterns).ignores(path)


def _settings(text: str) -> None:
    """A file of settings; then the same lines as variables."""
    load_config({"config": "c.toml"}, {}, read_text=lambda _: text, is_root=False, home_dir="/h")
    pairs = (line.partition("=") for line in text.splitlines())
    variables = {f"PORTWAY_{name.strip().upper().replace('-', '_')}": value.strip(' "') for name, _, value in pairs}  # fmt: skip
    load_config({}, variables, read_text=lambda _: "token", is_root=False, home_dir="/h")


_SETTINGS = (
    'host-ports = "31000-32000"\nlisten = "127.0.0.1:8080"\nhold-down-s = "5s"\nbody-size-max-bytes = "10m"\nstore-url = "postgresql://u:p@h/d"\n',
    'engine = "memory"\nnode-ports = "a=1-2,b=3"\nmarathon-groups = "*"\npublic-address = "::1"\naws-load-balancer-addresses = "127.64.0.0/16"\ntoken-file = "t"\n',
)  # fmt: skip
_POLICY = 'allow = ["privileged"]\nbind_paths = ["/data"]\nports = ["80", "443-444"]\ncapabilities = ["NET_ADMIN"]\n'

# What each reads, how it may refuse it, and what users write.
_WORDS: tuple[tuple[Callable[[str], object], tuple[type[Exception], ...], tuple[str, ...]], ...] = (
    (_quantity, (), ("1m30s", "256m", "1.5GB", "0.5", ".5 vCPU", "2 GB", "8000-8010", "SIGRTMIN+3", "200-299,404", "2026-11-21T16:39:30.123Z", "Sat, 21 Nov 2026 00:00:00 GMT", "1e5")),
    (_query, (), ("attribute:zone == a and not (task:group =~ service:.* || attribute:n > 2)", "attribute:zone in ['a', b]", "agentVersion >= 1.2 && exists(attribute:x)")),
    (_filter, (RequestError,), ('{ ($.a.b[0] = "x*" && $.n > 1e3) || $.c NOT EXISTS }\n{"a": {"b": ["xy"]}, "n": 5}', '?a -"b c" d\na d', "{ $.a IS NULL }\n[1]")),
    (lambda text: parse_selector(text).matches({"a": "b"}), (SelectorError,), ("a==b, c in (d, e), f notin (g), h!=i, j", "a\\,b==c")),
    (parse_subject, (RequestError,), ("web.1", "[::1]:80", "http://user@a.b:8080/x?y#z", ":80", "80", "*:443")),
    (_listen, (), ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", "localhost:1", "a.b-c:2")),
    (_constraint, (), ("a\nLIKE\n[a-z]+", "@hostname\nMAX_PER\n3", "zone\nGROUP_BY", "@region\nIS\na")),
    (parse_task_name, (), ("a_b.instance-3e2c5f0a-0000-4000-8000-000000000000._app.1", "a.instance-3e2c5f0a-0000-4000-8000-000000000000.ct")),
    (lambda text: parse_moment(text, now=_NOW), (RequestError,), ("14:25", "yesterday 3pm", "2026-11-21 14:25:03+02:00", "5m ago", "-90s")),
    (parse_window, (RequestError,), ("5m", "1h30m", "90")),
    (_ignore, (RequestError,), ("# x\n!a/**/b\n*.py[co]\n\\#\na/x/b", "[!a-]b?\nab")),
    (_settings, (RequestError,), _SETTINGS),
    (lambda text: parse_policy(text, file="p.toml"), (RequestError,), (_POLICY,)),
    (lambda text: expand(text, {"A": "x"}), (), ("$A ${A} $$A $(A) ${A:-b}",)),
)  # fmt: skip


def _sent(data: bytes) -> None:
    """A line of query, a line of path, then headers, then the body."""
    head, _, body = data.partition(b"\n\n")
    query, path, *lines = [*head.decode("latin-1").split("\n"), "", ""]
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]  # fmt: skip
    request = SentRequest(method="POST", path=path, query=query, headers=headers, body=body)
    with suppress(Incomplete, Mismatch):
        signature = read_signature(request)
        if signature is not None:
            check_signature(request, signature, "secret", now_ms=1_800_000_000_000)


_SIGNED = (
    b"\n/\nauthorization: AWS4-HMAC-SHA256 Credential=AKIA/20261121/us-east-1/ecs/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + b"a" * 64
    + b"\nhost: a\nx-amz-date: 20261121T000000Z\nx-amz-content-sha256: UNSIGNED-PAYLOAD\n\n{}",
    b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261121%2Fus-east-1%2Fecs%2Faws4_request&X-Amz-Date=20261121T000000Z&X-Amz-Expires=60"
    b"&X-Amz-SignedHeaders=host&X-Amz-Signature=" + b"a" * 64 + b"\n/a%2Fb/../c\nhost: a\n\n",
)  # fmt: skip


def _log_lines(text: str) -> None:
    taken: list[Any] = []
    log = RequestLog(Path("/nowhere"), clock_s=lambda: 0.0)
    log.take_with(lambda requests, skipped: taken.append((requests, skipped)))
    log.know(OWNERS, INSTANCES)
    data = text.encode()
    for at in range(0, len(data), 100):
        log.feed(data[at : at + 100])


_STATISTICS = (
    "# pxname,svname,qcur,scur,stot,econ,eresp,mode,req_tot,dreq,ereq,hrsp_5xx,\n"
    'f,FRONTEND,,1,9,,,tcp,,4,6,,\nb.http,"web-1",2,3,1,0,0,http,,,,,\nb.http,BACKEND,0,3,9,1,2,http,7,1,,5,\n'
)
_PROCESSES = "#<PID>          <type>          <reloads>       <uptime>        <version>\n1 master 0 0d 2.9\n# workers\n2 worker 0 0d 2.9\n# old workers\n3 worker 1 0d 2.9\n"  # fmt: skip

# A ValueError has them asked again later.
_HAPROXY: tuple[tuple[Callable[[str], object], tuple[str, ...]], ...] = (
    (readback.parse_servers, (SERVERS,)),
    (readback.parse_statistics, (_STATISTICS,)),
    (readback.parse_info, ("Pid: 7\nVersion: 2.9\ndescription: a: b\n",)),
    (readback.parse_workers, (_PROCESSES,)),
    (lambda text: readback.parse_sessions(text, ServerKey(backend="b", server="s")), ("0x1: be=b srv=s\n",)),
    (readback.parse_map, ("0x1 a b\n",)),
    (readback.parse_certificate_list, ("# a\n/x/y.pem:1\n",)),
    (_log_lines, (HTTP + "\n" + TCP + "\n",)),
)  # fmt: skip


def _listing(text: str) -> None:
    """The containers of a listing, each with an inspection, as an instance."""
    read = msgspec.json.decode(text, type=tuple[tuple[ContainerSummary, Container], ...])
    seen = [Seen(summary=summary, inspected=inspected) for summary, inspected in read]
    for one in seen:
        is_instance(one.summary, home_id="h")
    if len({one.member for one in seen}) == len(seen) > 0:
        observed(seen, home_id="h", node_address="127.0.0.1")


def _pull(text: str) -> None:
    layers = Layers("x")
    for line in text.splitlines():
        layers.add(msgspec.json.decode(line, type=BuildMessage))
    assert layers.text


def _output(data: bytes) -> None:
    for pieces in (Frames(), TerminalPieces()):
        lines = Lines("a")
        for at in range(0, len(data), 50):
            for stream, payload in pieces.feed(data[at : at + 50]):
                _ = [str(line) for line in lines.add(stream, payload)]
        _ = list(lines.rest())


_IDENTITY = encode(samples.instance("shop/web", 1).identity)
_SUMMARY = {
    "Id": "abc", "Names": ["/x"], "Image": "i", "ImageID": "sha256:1", "State": "running", "Status": "Up 2 s (healthy)",
    "Labels": {"portway.identity": _IDENTITY, "portway.instance": "shop/web.1.1"},
    "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}, "HostConfig": {"NetworkMode": "bridge"},
    "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 31000, "Type": "tcp"}],
}  # fmt: skip
_INSPECTED = {
    "Id": "abc", "Config": {"Tty": False, "Labels": {}},
    "State": {"Status": "running", "ExitCode": 0, "StartedAt": "2026-11-21T16:39:30.123456789Z", "FinishedAt": "0001-01-01T00:00:00Z", "Health": {"Status": "healthy"}, "Pid": 7},
}  # fmt: skip


def _docker_checks() -> tuple[Callable[[bytes], None], ...]:
    unreadable = (ValueError, RecursionError, EngineError)
    return (
        refusing(_listing, *unreadable),
        refusing(lambda text: msgspec.json.decode(text, type=DaemonEvent), *unreadable),
        refusing(_pull, *unreadable),
        _output,
        refusing(lambda text: str(explain(DockerRefusal(500, tidy(text)), doing="start x", image="x"))),
        refusing(lambda text: identity_from_labels({"portway.identity": text}), *unreadable),
        refusing(parse_stat, ValueError),
    )  # fmt: skip


_DOCKER_SEEDS = (
    (json.dumps([[_SUMMARY, _INSPECTED]]),),
    ('{"Action": "die", "Actor": {"ID": "x", "Attributes": {"portway.instance": "a"}}}',),
    ('{"status": "Downloading", "id": "a", "progressDetail": {"current": 1, "total": 2}}\n{"status": "Pull complete", "id": "a"}\n',),
    ("\1\0\0\0\0\0\0\x242026-11-21T16:39:30.123456789Z hello\n", "2026-11-21T16:39:30Z a\n"),
    ("driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated", 'exec: "x": executable file not found in $PATH'),
    (_IDENTITY,),
    ("7 (a b) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 500 1 1",),
)  # fmt: skip


def _documents(data: bytes) -> None:
    """A saved document of any kind; what can be read is written as it was."""
    kind = type(_SAVED[data[0] % len(_SAVED)] if data else {})
    with suppress(StoreError):
        value: Any = decode(kind, data[1:].decode(errors="replace"))
        assert decode(kind, encode(value)) == value


def _journal(data: bytes) -> None:
    """A moment rebuilt from whatever was kept of it: a mark, or none, and changes."""
    with suppress(StoreError, ValueError, TypeError, RecursionError):  # no list is none of ours
        mark, *changes = (encode(each) for each in json.loads(data))
        past = Past(
            begins_at_ms=0,
            mark=None if mark == "null" else decode(Mark, mark),
            changes=tuple(decode(Change, change) for change in changes),
        )
        _ = map_of(held(past))


_HOLDING = Holding(kind=HoldingKind.LEASE, number=31000, app_id="a/b", instance_id="a/b.1.1", node="local")  # fmt: skip
_SAVED: tuple[Any, ...] = (
    samples.state(), samples.stack(), samples.release("R1"), samples.certificate(), samples.event(),
    Change(at_ms=1, taken=True, holding=_HOLDING), Mark(at_ms=1, holdings=(_HOLDING,)), samples.app(), {"a": [1]},
)  # fmt: skip
_JOURNAL = encode([_SAVED[6], _SAVED[5], replace(_SAVED[5], taken=False)])

TARGETS = (
    Target(
        name="words",
        check=choosing([refusing(read, *refusals) for read, refusals, _ in _WORDS]),
        seeds=lambda: chosen([texts for _, _, texts in _WORDS]),
        words=("attribute:", "=~", "not_in", "exists(", "{4294967296}", "\u0663", "NOT EXISTS", "notin", "instance-", "P1D"),
    ),
    Target(name="signature", check=_sent, seeds=lambda: _SIGNED, words=("X-Amz-", "AWS4-HMAC-SHA256", "aws4_request", "%2F", "STREAMING-")),
    Target(
        name="haproxy",
        check=choosing([refusing(read, ValueError) for read, _ in _HAPROXY]),
        seeds=lambda: chosen([texts for _, texts in _HAPROXY]),
        words=("pw1 ", "# ", "FRONTEND", "BACKEND", "<NOSRV>", "worker"),
    ),
    Target(name="docker", check=choosing(_docker_checks()), seeds=lambda: chosen(_DOCKER_SEEDS), words=("portway.identity", "portway.group")),
    Target(name="store", check=_documents, seeds=lambda: chosen([(encode(value),) for value in _SAVED]), words=("at_ms", "holding")),
    Target(name="journal", check=_journal, seeds=lambda: [_JOURNAL.encode()], is_json=True),
)  # fmt: skip
