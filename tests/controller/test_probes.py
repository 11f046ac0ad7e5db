"""Checks over real sockets, and the pace at which instances are asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from portway.controller.clock import SystemClock
from portway.controller.probes import NetworkChecker, Prober, ProbeTarget
from portway.core.app import App, CheckKind, HealthCheck
from portway.core.health import Health, HealthStatus
from portway.core.instance import InstanceIdentity
from portway.core.state import Revision
from portway.engines.base import StartRequest
from portway.engines.memory import ImageBehaviour, MemoryEngine

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def says(answer: bytes, *, heard: list[bytes] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(head)
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handler


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def target(port_number: int | None, **fields: object) -> ProbeTarget:
    given = {k: fields.pop(k) for k in ("engine_health", "address", "started_at_ms") if k in fields}
    check = HealthCheck(**{"timeout_s": 2.0, **fields})  # type: ignore[arg-type]
    return ProbeTarget(
        **{"instance_id": "shop/web.1.1", "address": "127.0.0.1", "started_at_ms": 0, **given},  # type: ignore[arg-type]
        check=check,
        port_number=port_number,
    )


async def checked(probed: ProbeTarget, engine: MemoryEngine | None = None) -> tuple[bool, str]:
    return await NetworkChecker(engine or MemoryEngine(), SystemClock()).check(probed)


HTTP = CheckKind.HTTP


@pytest.mark.parametrize(
    ("status", "passed"), [(200, True), (204, True), (399, True), (400, False), (503, False)]
)
async def test_an_http_check_passes_in_the_range_of_its_statuses(status: int, passed: bool) -> None:
    heard: list[bytes] = []
    answer = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()
    async with listening(says(answer, heard=heard)) as number:
        result = await checked(target(number, kind=HTTP, path="/up?a=1"))
        assert result == (passed, f"HTTP {status} from /up?a=1")
    assert heard[0].startswith(b"GET /up?a=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Connection: close" in heard[0]


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1\r\n", b"HTTP/1.1 abc\r\n", b"", b"x" * 10_000, b"\xff\r\n"],
    ids=["ssh", "no status", "no number", "nothing", "one long line", "not text"],
)
async def test_an_answer_that_is_not_http_does_not_pass(answer: bytes) -> None:
    async with listening(says(answer)) as number:
        passed, detail = await checked(target(number, kind=HTTP))
    assert (passed, detail) == (False, "the answer from / is not HTTP")


async def test_an_answer_that_does_not_come_does_not_pass() -> None:
    async with listening(silent) as number:
        passed, detail = await checked(target(number, kind=HTTP, timeout_s=0.05))
        assert (passed, detail) == (False, f"no answer from 127.0.0.1:{number} within 0.05 s")


async def test_a_tcp_check_passes_when_somebody_listens() -> None:
    async with listening(silent) as number:
        where = f"127.0.0.1:{number}"
        assert await checked(target(number)) == (True, f"{where} accepts connections")
    assert await checked(target(number)) == (
        False,
        f"nothing listens on {where} (connection refused)",
    )


async def test_an_instance_without_an_address_does_not_pass_yet() -> None:
    assert await checked(target(80, address="")) == (False, "it has no address yet")
    assert await checked(target(None, kind=HTTP)) == (False, "it has no address yet")


async def test_an_https_check_of_something_that_speaks_no_tls_says_so_without_a_traceback() -> None:
    async with listening(says(b"HTTP/1.1 200 OK\r\n\r\n")) as number:
        passed, detail = await checked(target(number, kind=CheckKind.HTTPS, timeout_s=1.0))
    assert not passed
    assert f"127.0.0.1:{number}" in detail


async def test_without_a_port_an_instance_is_well_once_it_has_run_for_a_while() -> None:
    now_ms = SystemClock().now_ms()
    passed, detail = await checked(target(None, started_at_ms=now_ms, settle_s=60.0))
    assert (passed, detail) == (False, "it has run for only 0.0 s")
    passed, _ = await checked(target(None, started_at_ms=now_ms - 61_000, settle_s=60.0))
    assert passed


async def test_no_check_always_passes() -> None:
    assert await checked(target(1, kind=CheckKind.NONE)) == (True, "not checked")


@pytest.mark.parametrize("word", ["starting", "unhealthy"])
async def test_the_check_built_into_an_image_counts_besides(word: str) -> None:
    passed, detail = await checked(target(1, kind=CheckKind.NONE, engine_health=word))
    assert (passed, word in detail) == (False, True)
    assert (await checked(target(1, kind=CheckKind.NONE, engine_health="healthy")))[0]


async def engine() -> MemoryEngine:
    made = MemoryEngine()
    made.behave("web", ImageBehaviour())
    identity = InstanceIdentity(
        id="shop/web.1.1", app_id="shop/web", slot=1, serial=1, revision="R", release="R",
        node="local",
    )  # fmt: skip
    revision = Revision(id="R", release="R", app=App(id="shop/web", image="web"))
    await made.start(
        StartRequest(
            identity=identity, revision=revision, environment={}, command=None, command_text=None
        )
    )
    return made


@pytest.mark.parametrize(
    ("command", "passed", "detail"),
    [
        (("CMD", "true"), True, "the health command exited with 0"),
        (("CMD-SHELL", "exit 3"), False, "the health command exited with 3"),
        (("CMD", "echo", "all well"), True, "the health command exited with 0: all well"),
        (("CMD", "sleep", "60"), False, "the health command took longer than 2 s"),
    ],
)
async def test_a_command_check_is_what_the_command_says(
    command: tuple[str, ...], passed: bool, detail: str
) -> None:
    probed = target(None, kind=CheckKind.COMMAND, command=command)
    assert await checked(probed, await engine()) == (passed, detail)


class FakeChecker:
    """Answers as told and counts who was asked when."""

    def __init__(self) -> None:
        self.answers: dict[str, bool | Exception] = {}
        self.asked: list[str] = []

    async def check(self, probed: ProbeTarget) -> tuple[bool, str]:
        self.asked.append(probed.instance_id)
        answer = self.answers.get(probed.instance_id, True)
        if isinstance(answer, Exception):
            raise answer
        return answer, "said"


class Pace:
    """A prober at work."""

    def __init__(self) -> None:
        self.checker = FakeChecker()
        self.health: dict[str, Health] = {}
        self.changed: list[str] = []
        self.prober = Prober(self.checker, SystemClock(), self.health, self.changed.append)

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not what():
                await asyncio.sleep(0.005)


@pytest.fixture
async def pace() -> AsyncIterator[Pace]:
    made = Pace()
    task = asyncio.get_running_loop().create_task(made.prober.run())
    yield made
    task.cancel()
    await asyncio.wait([task])


def quick(instance_id: str, **fields: object) -> ProbeTarget:
    check = HealthCheck(**{"interval_s": 0.01, "start_interval_s": 0.01, **fields})  # type: ignore[arg-type]
    return ProbeTarget(
        instance_id=instance_id,
        check=check,
        address="",
        port_number=None,
        started_at_ms=SystemClock().now_ms(),
    )


async def test_a_changed_verdict_is_told_once(pace: Pace) -> None:
    pace.prober.sync("shop/web", {"a": quick("a")})
    await pace.until(lambda: len(pace.checker.asked) > 3)
    assert pace.changed == ["a"]
    pace.checker.answers["a"] = False
    await pace.until(lambda: pace.changed == ["a", "a"])
    assert pace.health["a"].status is HealthStatus.FAILING


async def test_a_checker_that_fails_itself_leaves_the_verdict_as_it_was(pace: Pace) -> None:
    pace.prober.sync("shop/web", {"a": quick("a")})
    await pace.until(lambda: pace.changed)
    pace.checker.answers["a"] = RuntimeError("no file descriptors left")
    asked = len(pace.checker.asked)
    await pace.until(lambda: len(pace.checker.asked) > asked + 5)
    assert pace.health["a"].status is HealthStatus.PASSING


async def test_one_that_is_no_target_any_more_is_forgotten_and_asked_no_more(pace: Pace) -> None:
    pace.prober.sync("shop/web", {"a": quick("a"), "b": quick("b")})
    pace.prober.sync("shop/api", {"c": quick("c")})
    await pace.until(lambda: len(pace.health) == 3)
    pace.prober.sync("shop/web", {"b": quick("b")})
    assert set(pace.health) == {"b", "c"}
    asked = len(pace.checker.asked)
    await pace.until(lambda: len(pace.checker.asked) > asked + 5)
    assert "a" not in pace.checker.asked[asked + 1 :]
    pace.prober.sync("shop/web", {})
    pace.prober.sync("shop/api", {})
    assert pace.health == {}
    assert pace.prober._tasks == pace.prober._targets == pace.prober._keys == {}


async def test_a_changed_check_holds_from_the_next_time_on(pace: Pace) -> None:
    pace.checker.answers["a"] = False
    pace.prober.sync("shop/web", {"a": quick("a", start_period_s=1000.0)})
    await pace.until(lambda: len(pace.checker.asked) > 2)
    assert pace.changed == []
    hasty = quick("a", start_period_s=0.0, unhealthy_threshold=0)
    pace.prober.sync("shop/web", {"a": hasty})
    await pace.until(lambda: pace.changed == ["a"])
    assert len(pace.prober._tasks) + len(pace.prober._due) == 1


async def test_only_an_instance_without_a_verdict_is_asked_fast(pace: Pace) -> None:
    slow = {"interval_s": 60.0, "start_interval_s": 0.001, "start_period_s": 0.0}
    pace.checker.answers["a"] = False
    pace.prober.sync("shop/web", {"a": quick("a", **slow, unhealthy_threshold=0)})
    await pace.until(lambda: pace.changed == ["a"])
    asked = len(pace.checker.asked)
    await asyncio.sleep(0)
    assert pace.health["a"].status is HealthStatus.FAILING
    pace.prober.sync("shop/api", {"b": quick("b")})
    await pace.until(lambda: pace.checker.asked.count("b") > 5)
    assert pace.checker.asked.count("a") == asked


async def test_targets_given_before_the_prober_runs_are_probed_once_it_does() -> None:
    made = Pace()
    made.prober.sync("shop/web", {"a": quick("a")})
    assert made.prober._tasks == {}
    task = asyncio.get_running_loop().create_task(made.prober.run())
    await made.until(lambda: made.changed)
    task.cancel()
    await asyncio.wait([task])
