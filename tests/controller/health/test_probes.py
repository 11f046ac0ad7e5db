"""Checks over real sockets, and the pace at which instances are asked."""

from __future__ import annotations

import asyncio
import errno
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from portway.controller.clock import SystemClock
from portway.controller.health import checks
from portway.controller.health.checks import CheckNotMadeError
from portway.controller.health.probes import COMMAND_CHECKS_MAX, NetworkChecker, Prober, ProbeTarget
from portway.core.app import App, CheckKind, HealthCheck
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.health import Health, HealthStatus
from portway.core.instance import InstanceIdentity
from portway.core.state import Revision
from portway.engines.base import CommandResult, StartRequest
from portway.engines.memory import ImageBehaviour, MemoryEngine


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with something else makes no check of these tests its own failure."""
    monkeypatch.setattr(checks, "LATE_S", 3600.0)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
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
    check = HealthCheck(**{"timeout_s": 30.0, **fields})  # type: ignore[arg-type]
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
    assert not passed
    assert detail.startswith("it has run for only ")
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
    probed = target(None, kind=CheckKind.COMMAND, command=command, timeout_s=2.0)
    assert await checked(probed, await engine()) == (passed, detail)


async def test_method_host_and_statuses_are_as_asked_for() -> None:
    heard: list[bytes] = []
    answer = b"HTTP/1.1 401 Unauthorized\r\n\r\n"
    async with listening(says(answer, heard=heard)) as number:
        probed = target(
            number, kind=HTTP, method="HEAD", host="shop.example", statuses=((401, 401),)
        )
        assert await checked(probed) == (True, "HTTP 401 from /")
    assert heard[0].startswith(b"HEAD / HTTP/1.1\r\nHost: shop.example\r\n")


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    heard: list[bytes] = []
    async with listening(says(b"HTTP/1.1 200 OK\r\n\r\n", heard=heard)) as elsewhere:
        away = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{elsewhere}/\r\n\r\n".encode()
        async with listening(says(away)) as number:
            assert await checked(target(number, kind=HTTP)) == (True, "HTTP 302 from /")
    assert heard == []


async def test_an_https_check_asks_for_its_host_and_takes_any_certificate(
    tls_server: ssl.SSLContext,
) -> None:
    asked: list[str | None] = []
    tls_server.sni_callback = lambda _socket, name, _context: asked.append(name)
    handler = says(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with listening(handler, tls=tls_server) as number:
        probed = target(number, kind=CheckKind.HTTPS, host="shop.example:8443", timeout_s=30.0)
        assert await checked(probed) == (True, "HTTP 204 from /")
        unnamed = target(number, kind=CheckKind.HTTPS, timeout_s=30.0)
        assert await checked(unnamed) == (True, "HTTP 204 from /")
    assert asked == ["shop.example", None]


@pytest.fixture
def tls_server(tmp_path: Path) -> ssl.SSLContext:
    pem = tmp_path / "it.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    words += ["-subj", "/CN=it", "-keyout", str(pem), "-out", str(tmp_path / "crt")]
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", pem)
    return context


class RefusingEngine(MemoryEngine):
    """Runs no check at all."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    async def run_check(self, *_: object, **__: object) -> CommandResult:
        raise EngineError("Docker does not answer.", kind=self._kind)


async def test_an_engine_that_does_not_answer_makes_no_check() -> None:
    probed = target(None, kind=CheckKind.COMMAND, command=("CMD", "true"))
    with pytest.raises(CheckNotMadeError, match="Docker does not answer"):
        await checked(probed, RefusingEngine(EngineErrorKind.UNAVAILABLE))
    with pytest.raises(CheckNotMadeError):
        await checked(probed, RefusingEngine(EngineErrorKind.NOT_FOUND))


async def test_a_command_that_is_not_there_is_the_apps_own_failure() -> None:
    probed = target(None, kind=CheckKind.COMMAND, command=("CMD", "nothing"))
    passed, detail = await checked(probed, RefusingEngine(EngineErrorKind.BAD_COMMAND))
    assert (passed, "could not be run" in detail) == (False, True)


async def test_without_a_file_descriptor_no_verdict_comes_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def none_left(*_: object, **__: object) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("portway.controller.health.asker.ask", none_left)
    with pytest.raises(CheckNotMadeError, match="Too many open files"):
        await checked(target(80, kind=HTTP))


class FakeChecker:
    """Answers as told and counts who was asked when."""

    def __init__(self) -> None:
        self.answers: dict[str, bool | Exception] = {}
        self.asked: list[str] = []
        self.hung: set[str] = set()
        self.waiting = self.most_waiting = 0

    async def check(self, probed: ProbeTarget) -> tuple[bool, str]:
        self.asked.append(probed.key)
        if probed.instance_id in self.hung:
            self.waiting += 1
            self.most_waiting = max(self.waiting, self.most_waiting)
            try:
                await asyncio.Event().wait()
            finally:
                self.waiting -= 1
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
        self.readiness: dict[str, Health] = {}
        self.prober = Prober(
            self.checker,
            SystemClock(),
            self.health,
            self.changed.append,
            readiness=self.readiness,
        )

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
    given = {
        k: fields.pop(k) for k in ("is_readiness", "is_proven", "started_at_ms") if k in fields
    }
    check = HealthCheck(**{"interval_s": 0.01, "start_interval_s": 0.01, **fields})  # type: ignore[arg-type]
    return ProbeTarget(
        instance_id=instance_id,
        check=check,
        address="",
        port_number=None,
        **{"started_at_ms": SystemClock().now_ms(), **given},  # type: ignore[arg-type]
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
    assert "no file descriptors left" in pace.health["a"].unchecked
    pace.checker.answers["a"] = True
    await pace.until(lambda: not pace.health["a"].unchecked)
    assert pace.changed == ["a"]


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


async def test_readiness_is_a_verdict_of_its_own(pace: Pace) -> None:
    ready = quick("a", is_readiness=True, start_period_s=0.0, unhealthy_threshold=0)
    pace.prober.sync("shop/web", {"a": quick("a"), ready.key: ready})
    await pace.until(lambda: pace.health and pace.readiness)
    assert {"a", ready.key} == set(pace.checker.asked)
    assert pace.readiness["a"].status is HealthStatus.PASSING
    pace.prober.sync("shop/web", {"a": quick("a")})
    assert (set(pace.readiness), set(pace.health)) == (set(), {"a"})


async def test_one_that_has_proved_itself_before_is_not_condemned_by_one_answer(pace: Pace) -> None:
    pace.checker.answers["a"] = False
    old = quick("a", is_proven=True, started_at_ms=0, unhealthy_threshold=5)
    pace.prober.sync("shop/web", {"a": old})
    await pace.until(lambda: pace.health.get("a", Health()).failures)
    await pace.until(lambda: pace.changed == ["a"])
    assert pace.health["a"].status is HealthStatus.FAILING
    assert pace.checker.asked.count("a") >= 5


async def test_nothing_is_asked_before_its_delay(pace: Pace) -> None:
    pace.prober.sync("shop/web", {"a": quick("a", delay_s=3600.0), "b": quick("b")})
    await pace.until(lambda: pace.checker.asked.count("b") > 5)
    assert "a" not in pace.checker.asked
    late = quick("c", delay_s=3600.0, started_at_ms=SystemClock().now_ms() - 3_600_000)
    pace.prober.sync("shop/api", {"c": late})
    await pace.until(lambda: "c" in pace.checker.asked)


async def test_those_that_hang_hold_up_nobody_else(pace: Pace) -> None:
    pace.checker.hung = {f"h{nth}" for nth in range(200)}
    pace.prober.sync("shop/hung", {key: quick(key) for key in pace.checker.hung})
    await pace.until(lambda: pace.checker.waiting == 200)
    pace.prober.sync("shop/web", {"a": quick("a")})
    await pace.until(lambda: pace.checker.asked.count("a") > 5)
    assert pace.checker.waiting == 200, "and each of them is asked once at a time"


async def test_only_so_many_commands_run_at_once_and_they_hold_up_no_other_check(
    pace: Pace,
) -> None:
    keys = [f"c{nth}" for nth in range(COMMAND_CHECKS_MAX + 5)]
    pace.checker.hung = set(keys)
    pace.prober.sync("shop/jobs", {key: quick(key, kind=CheckKind.COMMAND) for key in keys})
    await pace.until(lambda: pace.checker.waiting == COMMAND_CHECKS_MAX)
    pace.prober.sync("shop/web", {"a": quick("a")})
    await pace.until(lambda: pace.checker.asked.count("a") > 5)
    assert pace.checker.most_waiting == COMMAND_CHECKS_MAX
    pace.checker.hung = set()
    queued = set(keys) - set(pace.checker.asked)  # nobody's turn is promised: whoever was not asked
    assert len(queued) == 5
    pace.prober.sync("shop/jobs", {key: quick(key, kind=CheckKind.COMMAND) for key in queued})
    await pace.until(lambda: queued <= pace.health.keys())


async def test_what_started_together_is_spread_over_the_interval(pace: Pace) -> None:
    keys = [f"shop/web.{nth}.{nth}" for nth in range(100)]
    began_s = asyncio.get_running_loop().time()
    pace.prober.sync("shop/web", {key: quick(key, interval_s=1000.0) for key in keys})
    await pace.until(lambda: len(pace.changed) == 100 and len(pace.prober._due) == 100)
    next_s = sorted(at_s - began_s for at_s in pace.prober._due.values())
    tenths = [sum(100 * n <= at_s < 100 * (n + 1) for at_s in next_s) for n in range(10)]
    assert max(tenths) <= 30, tenths


async def test_an_interval_is_counted_from_the_start_of_a_check(pace: Pace) -> None:
    loop = asyncio.get_running_loop()
    pace.health["a"] = Health(status=HealthStatus.PASSING)
    probed = quick("a", interval_s=1000.0)
    pace.prober.sync("shop/web", {"a": probed})
    began_s = loop.time()
    release = asyncio.Event()

    async def slow(_: ProbeTarget) -> tuple[bool, str]:
        await release.wait()
        return True, "at last"

    pace.checker.check = slow  # type: ignore[method-assign]
    await pace.until(lambda: pace.prober._tasks)
    started_s = loop.time()
    await asyncio.sleep(0.05)
    release.set()
    await pace.until(lambda: pace.prober._due)
    assert began_s + 1000 <= pace.prober._due["a"] <= started_s + 1000
