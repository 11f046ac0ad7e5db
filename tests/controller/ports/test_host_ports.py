"""What the kernel of this machine says about ports: real sockets, real processes."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from portway.controller.ports.claims import SocketClaims
from portway.controller.ports.host_ports import HostPorts, can_be_bound, try_bind
from portway.core.app import Protocol
from portway.core.ports import Holder, PortPool, PortRange, PortRefusal, PortRequest
from tests.features import needs_ipv6

TCP, UDP = Protocol.TCP, Protocol.UDP
HERE = f"portway itself (pid {os.getpid()})"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads the Linux kernel")
pytestmark = linux_only


@pytest.fixture
def ports() -> Iterator[HostPorts]:
    """A view of this machine whose claims no other test run shares."""
    view = HostPorts(claims=SocketClaims(f"portway-test-{os.getpid()}"))
    yield view
    view.close()


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def open_socket(
    stack: ExitStack, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET
) -> socket.socket:
    return stack.enter_context(socket.socket(family, kind))


def listener(stack: ExitStack, address: str = "127.0.0.1", *, reuse: bool = True) -> tuple[socket.socket, int]:  # fmt: skip
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = open_socket(stack, family=family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
    number = free_port()
    server.bind((address, number))
    server.listen()
    return server, number


def only(ports: HostPorts, protocol: Protocol, number: int) -> Holder:
    """The holder of a port, as three ways of asking agree on it."""
    key = (protocol, number)
    everything = ports.occupied()
    assert key in everything
    narrow = ports.occupied(PortRange(first=number, last=number))
    assert key in list(narrow)
    holder = ports.holder(protocol, number)
    assert holder is not None
    assert everything[key] == narrow[key] == holder
    return holder


def assert_nobody(ports: HostPorts, protocol: Protocol, number: int) -> None:
    key = (protocol, number)
    assert key not in ports.occupied()
    assert key not in set(ports.occupied(PortRange(first=number, last=number)))
    assert ports.holder(protocol, number) is None


def test_a_listener_is_named_with_its_process(ports: HostPorts, sockets: ExitStack) -> None:
    _, number = listener(sockets)
    assert only(ports, TCP, number) == Holder(
        description=f"{HERE}, listening on 127.0.0.1:{number}",
        pid=os.getpid(),
        process=Path("/proc/self/comm").read_text().strip(),
        addresses=("127.0.0.1",),
    )


def test_a_listener_of_another_process_is_named_by_its_program(ports: HostPorts) -> None:
    with listening_process() as (process, number):
        holder = only(ports, TCP, number)
        assert holder.pid == process.pid
        assert holder.description == (
            f"{holder.process} (pid {process.pid}), listening on 127.0.0.1:{number}"
        )
    assert_nobody(ports, TCP, number)


def test_an_outgoing_connection_is_seen_and_named_with_its_target(
    ports: HostPorts, sockets: ExitStack
) -> None:
    _, service_port = listener(sockets)
    client = open_socket(sockets)
    client.connect(("127.0.0.1", service_port))
    number = client.getsockname()[1]
    assert only(ports, TCP, number).description == (
        f"an outgoing connection of {HERE} to 127.0.0.1:{service_port}"
    )
    assert ports.bind_test(TCP, "127.0.0.1", number) is not None


def test_a_port_with_a_listener_and_connections_is_told_by_the_listener(
    ports: HostPorts, sockets: ExitStack
) -> None:
    server, number = listener(sockets)
    open_socket(sockets).connect(("127.0.0.1", number))
    sockets.enter_context(server.accept()[0])
    assert "listening on" in only(ports, TCP, number).description


def test_a_udp_socket_holds_its_port_and_not_the_tcp_one(
    ports: HostPorts, sockets: ExitStack
) -> None:
    client = open_socket(sockets, socket.SOCK_DGRAM)
    number = free_port()
    client.bind(("127.0.0.1", number))
    assert only(ports, UDP, number).description == f"{HERE}, listening on 127.0.0.1:{number}"
    assert ports.bind_test(UDP, "127.0.0.1", number) is not None
    assert_nobody(ports, TCP, number)


def test_a_udp_port_shared_by_reuseaddr_is_not_called_free(
    ports: HostPorts, sockets: ExitStack
) -> None:
    client = open_socket(sockets, socket.SOCK_DGRAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.1", 0))
    assert ports.bind_test(UDP, "127.0.0.1", client.getsockname()[1]) is not None


def test_an_ipv6_listener_on_every_address_holds_the_ipv4_port_too(
    ports: HostPorts, sockets: ExitStack
) -> None:
    server = open_socket(sockets, family=socket.AF_INET6)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    number = free_port()
    server.bind(("::", number))
    server.listen()
    holder = only(ports, TCP, number)
    assert holder.addresses == ("::",)
    assert holder.description.endswith(f"listening on [::]:{number}")
    for address in ("127.0.0.1", "0.0.0.0", "::1", "::", ""):
        assert ports.bind_test(TCP, address, number) is not None, address


@needs_ipv6
def test_an_ipv6_only_listener_leaves_ipv4_alone_but_not_every_address(
    ports: HostPorts, sockets: ExitStack
) -> None:
    server = open_socket(sockets, family=socket.AF_INET6)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    number = free_port()
    server.bind(("::1", number))
    server.listen()
    assert ports.bind_test(TCP, "127.0.0.1", number) is None
    assert ports.bind_test(TCP, "", number) is not None


def test_a_listener_on_one_address_refuses_that_and_every_address_only(
    ports: HostPorts, sockets: ExitStack
) -> None:
    _, number = listener(sockets, "127.0.0.2")
    assert ports.bind_test(TCP, "127.0.0.1", number) is None
    for address in ("127.0.0.2", "0.0.0.0", "::", "*"):
        reason = ports.bind_test(TCP, address, number)
        assert reason == f"{number} is held by {HERE}, listening on 127.0.0.2:{number}"


def test_what_remains_of_a_servers_closed_connection_refuses_nothing(
    ports: HostPorts, sockets: ExitStack
) -> None:
    server, number = listener(sockets)
    client = open_socket(sockets)
    client.connect(("127.0.0.1", number))
    accepted, _ = server.accept()
    accepted.close()  # the side that closes first is left in TIME_WAIT
    assert client.recv(1) == b""
    client.close()
    server.close()
    wait_for_time_wait(number)
    assert ports.bind_test(TCP, "127.0.0.1", number) is None
    assert_nobody(ports, TCP, number)


def test_what_remains_of_an_outgoing_connection_still_refuses_its_port(
    ports: HostPorts, sockets: ExitStack
) -> None:
    server, service_port = listener(sockets)
    client = open_socket(sockets)
    client.connect(("127.0.0.1", service_port))
    number = client.getsockname()[1]
    accepted = sockets.enter_context(server.accept()[0])
    client.close()
    assert accepted.recv(1) == b""
    accepted.close()
    wait_for_time_wait(number)
    assert "no process any more" in only(ports, TCP, number).description
    assert ports.bind_test(TCP, "127.0.0.1", number) is not None


def test_a_port_bound_without_listening_is_held(ports: HostPorts, sockets: ExitStack) -> None:
    quiet = open_socket(sockets)
    number = free_port()
    quiet.bind(("127.0.0.1", number))
    assert (TCP, number) in ports.occupied()
    # Named since Linux 6.8 only.
    assert ports.bind_test(TCP, "127.0.0.1", number) in (
        f"{number} is held by {HERE}, which has bound 127.0.0.1:{number} without listening yet",
        f"{number} is held by a program that cannot be named",
    )


def test_a_free_port_passes_the_bind_test_and_is_free_afterwards(ports: HostPorts) -> None:
    number = free_port()
    for _ in range(2):
        assert ports.bind_test(TCP, "127.0.0.1", number) is None
        assert ports.bind_test(UDP, "127.0.0.1", number) is None
        assert ports.bind_test(TCP, "localhost", number) is None
    assert_nobody(ports, TCP, number)


@needs_ipv6
def test_a_port_is_free_on_ipv6_too(ports: HostPorts) -> None:
    assert ports.bind_test(UDP, "::1", free_port()) is None


def test_an_address_of_another_machine_is_refused(ports: HostPorts) -> None:
    assert ports.bind_test(TCP, "203.0.113.7", 31000) == (
        "203.0.113.7 is not an address of this machine"
    )


def test_what_is_no_address_is_refused(ports: HostPorts) -> None:
    assert ports.bind_test(TCP, "web.internal", 31000) == (
        "web.internal:31000 cannot be bound: web.internal is not an IP address"
    )


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root can")
def test_a_privileged_port_without_permission_says_what_to_do() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81:
        pytest.skip("every user may bind port 81 on this machine")
    assert as_nobody("print(ports.bind_test('tcp', '127.0.0.1', 81))") == (
        "there is no permission to bind 81: ports below 1024 need root, CAP_NET_BIND_SERVICE, "
        "or sysctl -w net.ipv4.ip_unprivileged_port_start=81"
    )


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root can")
def test_a_process_that_may_not_be_read_is_told_by_its_user(sockets: ExitStack) -> None:
    _, number = listener(sockets)
    assert as_nobody(f"print(ports.holder(Protocol.TCP, {number}).description)") == (
        f"a process of another user (uid 0), listening on 127.0.0.1:{number}"
    )


def test_ports_outside_the_range_asked_for_are_left_out(
    ports: HostPorts, sockets: ExitStack
) -> None:
    _, number = listener(sockets)
    within = ports.occupied(PortRange(first=number + 1, last=number + 1))
    assert (TCP, number) not in within
    with pytest.raises(KeyError):
        within[TCP, number]
    assert all(key[1] == number + 1 for key in within)


def test_the_pool_skips_what_the_kernel_says_is_held(ports: HostPorts, sockets: ExitStack) -> None:
    _, number = listener(sockets)
    pool = PortPool(PortRange(first=number, last=number), hold_down_ms=0)
    request = PortRequest(port_name="web", protocol=TCP, container_port=80)
    answer = pool.propose("local", [request], now_ms=0, occupied=ports.occupied())
    assert isinstance(answer, PortRefusal)
    assert "1 held by other programs" in answer.reason


def test_of_two_portways_exactly_one_gets_the_claim(ports: HostPorts) -> None:
    with two_claimants(number=31000) as answers:
        assert sorted(answers) == ["False", "True"]


def test_a_port_claimed_by_another_portway_is_occupied_and_says_so(ports: HostPorts) -> None:
    number = free_port()
    with HostPortsOf(f"portway-test-{os.getpid()}") as other:
        assert other.claim(TCP, number)
        assert not ports.claim(TCP, number)
        expected = Holder(
            description=f"another portway on this machine (pid {os.getpid()})",
            pid=os.getpid(),
            process=Path("/proc/self/comm").read_text().strip(),
        )
        assert ports.foreign_claim(TCP, number) == expected
        assert only(ports, TCP, number) == expected
        assert ports.foreign_claim(UDP, number) is None
    assert ports.foreign_claim(TCP, number) is None
    assert ports.claim(TCP, number)


def test_our_own_claim_is_not_held_against_us(ports: HostPorts) -> None:
    number = free_port()
    assert ports.claim(TCP, number)
    assert_nobody(ports, TCP, number)
    assert ports.foreign_claim(TCP, number) is None
    ports.release_claim(TCP, number)


def fake_proc(tmp_path: Path, ephemeral: str, reserved: str = "") -> HostPorts:
    directory = tmp_path / "sys/net/ipv4"
    directory.mkdir(parents=True)
    (directory / "ip_local_port_range").write_text(ephemeral)
    (directory / "ip_local_reserved_ports").write_text(f"{reserved}\n")
    return HostPorts(proc=tmp_path, claims=SocketClaims("portway-test-unused", proc=tmp_path))


@pytest.mark.parametrize(
    ("reserved", "overlap", "setting"),
    [
        ("", "32768-33000", "32768-33000"),
        ("8080,9000-9010", "32768-33000", "8080,9000-9010,32768-33000"),
        ("32768-32999", "33000-33000", "32768-32999,33000"),
    ],
)
def test_a_range_that_outgoing_connections_use_is_warned_of(
    tmp_path: Path, reserved: str, overlap: str, setting: str
) -> None:
    ports = fake_proc(tmp_path, "32768\t60999\n", reserved)
    assert ports.range_warnings(PortRange(first=32000, last=33000)) == (
        "--host-ports 32000-33000 overlaps 32768-60999, which this machine uses for outgoing "
        f"connections: any program can have one of {overlap} at any moment. Choose a range outside "
        "it, or keep these ports free with: "
        f"sysctl -w net.ipv4.ip_local_reserved_ports={setting}",
    )


@pytest.mark.parametrize(("first", "last"), [(31000, 32000), (61000, 62000), (40000, 40010)])
def test_a_range_apart_or_reserved_gives_no_warning(tmp_path: Path, first: int, last: int) -> None:
    ports = fake_proc(tmp_path, "32768\t60999\n", "40000-40010")
    assert ports.range_warnings(PortRange(first=first, last=last)) == ()


def test_without_a_readable_kernel_there_is_no_warning_and_binds_still_tell(
    tmp_path: Path, sockets: ExitStack
) -> None:
    ports = HostPorts(proc=tmp_path, claims=SocketClaims("portway-test-unused", proc=tmp_path))
    assert ports.ephemeral_range() is None
    assert ports.range_warnings(PortRange(first=31000, last=32000)) == ()
    _, number = listener(sockets)
    assert ports.bind_test(TCP, "127.0.0.1", number) is not None


def test_the_ephemeral_range_is_the_kernels(ports: HostPorts) -> None:
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert ports.ephemeral_range() == PortRange(first=int(first), last=int(last))


class HostPortsOf:
    """Another portway, for the length of a with block."""

    def __init__(self, namespace: str) -> None:
        self.ports = HostPorts(claims=SocketClaims(namespace))

    def __enter__(self) -> HostPorts:
        return self.ports

    def __exit__(self, *_: object) -> None:
        self.ports.close()


def free_port() -> int:
    """A number that nothing has on any address, below those that outgoing connections get by chance."""
    while True:
        number = random.randint(20000, 30000)
        if can_be_bound((TCP, number)) and can_be_bound((UDP, number)):
            return number


def wait_for_time_wait(number: int) -> None:
    """Until no process has a socket on the port and the kernel still remembers a connection of it."""
    deadline = time.monotonic() + 10
    wanted = f":{number:04X} "
    while time.monotonic() < deadline:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        local = [line.split() for line in lines if line.split()[1].endswith(wanted.strip())]
        if local and all(fields[3] == "06" for fields in local):
            return
    pytest.fail(f"port {number} did not come to TIME_WAIT")


@contextmanager
def listening_process() -> Iterator[tuple[subprocess.Popen[str], int]]:
    code = (
        "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen();"
        "print(flush=True); sys.stdin.read()"
    )
    number = free_port()
    with python(code, str(number)) as process:
        assert process.stdout
        assert process.stdout.readline()
        yield process, number


@contextmanager
def python(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.communicate(timeout=10)


@contextmanager
def two_claimants(*, number: int) -> Iterator[list[str]]:
    """What two other processes answer when both claim one port at once; both keep what they got."""
    code = (
        "import sys; from portway.controller.ports.claims import SocketClaims\n"
        f"claims = SocketClaims('portway-test-two-{os.getpid()}')\n"
        f"print(claims.claim('tcp', {number}), flush=True); sys.stdin.read()"
    )
    with python(code) as one, python(code) as other:
        assert one.stdout
        assert other.stdout
        yield [one.stdout.readline().strip(), other.stdout.readline().strip()]


def as_nobody(statement: str) -> str:
    """The last line a statement prints when an unprivileged user runs it; `ports` is a HostPorts."""
    code = (
        "import encodings.idna, os, sys\n"
        "from portway.controller.ports.host_ports import HostPorts\n"
        "from portway.core.app import Protocol\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"ports = HostPorts()\n{statement}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_trying_a_port_leaves_nothing_behind() -> None:
    number = free_port()
    before = len(list(Path("/proc/self/fd").iterdir()))
    try_bind(TCP, "", number)
    with pytest.raises(OSError, match="is not an IP address"):
        try_bind(TCP, "nowhere", number)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
