"""The composition root: the only file that knows every adapter. Builds a portway out of a Config and runs it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from portway.api.app import create_app
from portway.api.aws.keys import FOLDER as AWS_KEYS
from portway.api.aws.settings import AwsSettings, check_aws_reach
from portway.api.server import serve as serve_http
from portway.api.settings import ApiSettings, check_settings
from portway.api.tokens import FOLDER as TOKENS
from portway.balancers.base import Balancer
from portway.balancers.memory import MemoryBalancer
from portway.config import Config
from portway.controller.autoscaling.scaling import Scaler
from portway.controller.balancing.shared import SharedSettings
from portway.controller.clock import SystemClock
from portway.controller.cloudwatch.shipping import LogShipper
from portway.controller.ecs.histories import SERVICE_KIND, TOKEN_KIND
from portway.controller.health.probes import Checker, NetworkChecker, ProbeTarget
from portway.controller.heap import settled_heap
from portway.controller.loop import Controller
from portway.controller.network.addresses import LoadBalancerAddresses
from portway.controller.operations import PortwayOperations
from portway.controller.policing import PolicyFile
from portway.controller.ports.host_ports import HostPorts
from portway.controller.ports.leases import Leases
from portway.controller.telemetry.access_log import AccessLog
from portway.controller.world import app_of
from portway.core.app import CheckKind
from portway.core.aws_names import AwsNames
from portway.core.balancing.targets import CODES, FAILED
from portway.core.errors import PortwayError
from portway.core.port_words import PortKind
from portway.core.ports import EPHEMERAL, PortPool
from portway.core.routes import Route
from portway.engines.base import InstanceEngine
from portway.engines.memory import MemoryEngine
from portway.logs import log_events, set_up_logs
from portway.store.base import Store
from portway.store.sql import open_store

log = structlog.get_logger()


@asynccontextmanager
async def running(
    config: Config, *, stop: asyncio.Event | None = None
) -> AsyncGenerator[PortwayOperations]:
    """A whole portway in this process, working until the block is left; what runs goes on running."""
    clock = SystemClock()
    failure: PortwayError | None = None
    async with AsyncExitStack() as cleanup:
        store = open_store(config.home, config.store_url, kept_days=config.journal_days)
        await store.open()
        cleanup.push_async_callback(store.close)
        home_id = (await store.load()).home_id
        engine = _engine(config, home_id)
        await engine.open()
        cleanup.push_async_callback(engine.close)
        leases = _leases(config, engine)
        balancer = _balancer(config, leases)
        await balancer.open()
        addresses = load_balancer_addresses(config, store, home_id)
        await addresses.open()
        controller = _controller(config, engine, balancer, store, leases, clock, addresses)
        controller.balancing.region = controller.scribe.region = config.aws_region
        controller.balancing.shared.settings = SharedSettings(
            http_port=config.marathon_http_port,
            https_port=config.marathon_https_port,
            certificates=config.marathon_certificates,
        )
        controller.scribe.account_id = config.aws_account_id
        cleanup.push_async_callback(_leave, controller)
        await controller.open()
        if engine.traits.uses_host_kernel:
            for warning in HostPorts().range_warnings(config.host_ports):
                controller.world.problems["host ports"] = warning
        operations = PortwayOperations(controller, config, stop or asyncio.Event())
        await operations.marathon.open()
        async with asyncio.TaskGroup() as group:
            work = group.create_task(_work(controller, operations, config))
            try:
                yield operations
            except PortwayError as error:
                failure = error  # out of the group as it is, not as a group of one
            finally:
                work.cancel()
    if failure is not None:
        raise failure


async def _work(controller: Controller, operations: PortwayOperations, config: Config) -> None:
    """Everything that goes on by itself, until cancelled."""
    documents = controller.store.documents
    world, clock = controller.world, controller.clock
    scaler = Scaler(world, documents, clock, operations.scale, controller.engine.usage)
    async with asyncio.TaskGroup() as group:
        group.create_task(controller.run())
        group.create_task(operations.marathon.run())
        group.create_task(scaler.run())
        group.create_task(LogShipper(controller, _names(config, world.home_id)).run())


def _names(config: Config, home_id: str) -> AwsNames:
    return AwsNames(region=config.aws_region, account_id=config.aws_account_id, home_id=home_id)


async def wipe(config: Config) -> tuple[str, ...]:
    """End and remove at once whatever runs for this home: balancer, instances, networks; the ids of the instances.

    For a home whose portway is gone for good. StoreError while one still uses it.
    """
    async with AsyncExitStack() as cleanup:
        store = open_store(config.home, config.store_url)
        await store.open()
        cleanup.push_async_callback(store.close)
        snapshot = await store.load()
        engine = _engine(config, snapshot.home_id)
        # The balancer first: nothing new may arrive at what is about to be killed.
        await _balancer(config, _leases(config, engine)).shutdown()
        await engine.open()
        cleanup.push_async_callback(engine.close)
        ids = tuple(instance.id for instance in await engine.list())
        async with asyncio.TaskGroup() as group:
            for instance_id in ids:
                group.create_task(engine.remove(instance_id))
        stacks = {stack.name for stack in snapshot.stacks}
        for stack in sorted(
            stacks | {app_of(instance_id).rpartition("/")[0] for instance_id in ids}
        ):
            await engine.remove_stack(stack)
        await load_balancer_addresses(config, store, snapshot.home_id).forget_names()
    return ids


def still_serving(config: Config) -> tuple[int, tuple[Route, ...]]:
    """The process of the balancer that goes on without a server (0 = none), and the routes it was told last."""
    if config.engine == "memory":
        return 0, ()
    from portway.balancers.haproxy.process import MasterProcess
    from portway.balancers.haproxy.state import load_state

    directory = config.home / "haproxy"
    process = MasterProcess(directory, config.haproxy)
    try:
        # In the middle of a reload the master is not to be recognised, its workers are.
        balancer_pid = process.find() or min(process.members(), default=0)
        return balancer_pid, load_state(directory).routes
    except OSError:
        return 0, ()  # another user's home
    finally:
        process.forget()


async def _leave(controller: Controller) -> None:
    """The balancer goes on serving; where there is nothing to serve, it goes too."""
    await controller.balancer.close()
    # Nothing is known of what there is to serve until the store has been read.
    serves = controller.world.apps or controller.balancing.owners
    if controller.is_open and not serves:
        await controller.balancer.shutdown()


async def serve(config: Config) -> None:
    """Run the server until SIGTERM, SIGINT or a request to stop; nothing that runs is disturbed by that."""
    try:
        await _serve(config)
    except ExceptionGroup as group:
        # Whatever watches over tasks packs up what leaves it: a refusal leaves as itself.
        if (refusal := _alone(group)) is None:
            raise
        raise refusal from None


def _alone(error: Exception) -> PortwayError | None:
    """The one PortwayError in groups of one."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, PortwayError) else None


async def _serve(config: Config) -> None:
    set_up_logs(level=config.log_level, form=config.log_format)
    settings = _api_settings(config)
    check_settings(settings)
    check_aws_reach(verify_signatures=config.aws_verify_signatures, listen=config.listen)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if not config.aws_verify_signatures:
        log.warning(
            "aws_signatures_not_verified", consequence="whoever can connect may do everything"
        )
    for warning in config.warnings:
        log.warning("setting_is_odd", warning=warning)
    async with (
        running(config, stop=stop) as operations,
        _logged(operations.controller),
        settled_heap(operations.controller.looked),
    ):
        aws = _aws_settings(config, operations)
        await _repair(operations, aws)
        await serve_http(
            create_app(operations, settings, aws, operations.marathon),
            unix_socket=config.socket_path,
            listen=config.listen,
            started=lambda: log.info(
                "server_started", home=str(config.home), listen=config.listen, engine=config.engine
            ),
            stop=stop,
        )
    log.info("server_stopped")


async def _repair(operations: PortwayOperations, settings: AwsSettings) -> None:
    """What a crash left half done of ECS; without anything of ECS nothing of it is even loaded."""
    try:
        kinds = (SERVICE_KIND, TOKEN_KIND)
        if any([await settings.documents.list(kind) for kind in kinds]):
            from portway.api.aws.ecs.repairs import repair_ecs

            await repair_ecs(operations, settings)
    except PortwayError as error:
        log.warning("ecs_not_repaired", error=str(error))


@asynccontextmanager
async def _logged(controller: Controller) -> AsyncGenerator[None]:
    """What is journalled is logged too, until the block is left."""
    with controller.journal.following() as events:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(log_events(events))
            try:
                yield
            finally:
                writing.cancel()


def _api_settings(config: Config) -> ApiSettings:
    return ApiSettings(
        token=config.token,
        listen=config.listen,
        tokens=config.home / TOKENS,
        body_size_max_bytes=config.body_size_max_bytes,
    )


def _aws_settings(config: Config, operations: PortwayOperations) -> AwsSettings:
    return AwsSettings(
        documents=operations.controller.store.documents,
        keys=config.home / AWS_KEYS,
        now_ms=operations.controller.clock.now_ms,
        region=config.aws_region,
        account_id=config.aws_account_id,
        home_id=operations.controller.world.home_id,
        verify_signatures=config.aws_verify_signatures,
        body_size_max_bytes=config.body_size_max_bytes,
    )


def load_balancer_addresses(config: Config, store: Store, home_id: str) -> LoadBalancerAddresses:
    """Where the load balancers of a home answer, and the names this machine knows them by."""
    return LoadBalancerAddresses(
        store.documents,
        home_id=home_id,
        region=config.aws_region,
        network=config.aws_load_balancer_addresses,
        hosts=Path(config.aws_hosts_file) if config.aws_hosts_file else None,
    )


def _engine(config: Config, home_id: str) -> InstanceEngine:
    match config.engine:
        case "docker":
            from portway.engines.docker.engine import DockerEngine
            from portway.engines.mixed import MixedEngine
            from portway.engines.process import ProcessEngine

            docker = DockerEngine(
                home_id,
                docker_host=config.docker_host,
                publish_address=config.publish_address,
                at_once=config.docker_at_once,
            )
            return MixedEngine(docker, ProcessEngine(config.home, home_id))
        case "process":
            from portway.engines.process import ProcessEngine

            return ProcessEngine(config.home, home_id)
        case "memory":
            return MemoryEngine(nodes=config.memory_nodes)
        case other:
            raise AssertionError(f"the configuration let the engine {other!r} through")


def _leases(config: Config, engine: InstanceEngine) -> Leases:
    hold_down_ms = int(config.hold_down_s * 1000)
    guard = HostPorts() if engine.traits.uses_host_kernel else None
    ephemeral = config.aws_ephemeral_ports or HostPorts().ephemeral_range() or EPHEMERAL
    return Leases(
        PortPool(
            config.host_ports,
            hold_down_ms=hold_down_ms,
            node_ranges=config.node_ports,
            ephemeral=ephemeral,
            kept=(config.service_ports,),
        ),
        PortPool(config.service_ports, hold_down_ms=hold_down_ms, kind=PortKind.LISTENER),
        guard,
        hold_down_ms=hold_down_ms,
    )


def _balancer(config: Config, leases: Leases) -> Balancer:
    if config.engine == "memory":
        return MemoryBalancer()
    from portway.balancers.haproxy.balancer import HAProxyBalancer

    addresses = tuple(a.strip() for a in config.public_address.split(",") if a.strip())
    return HAProxyBalancer(
        config.home,
        executable=config.haproxy,
        describe_holder=leases.describe_holder,
        public_addresses=addresses,
    )


def _controller(
    config: Config,
    engine: InstanceEngine,
    balancer: Balancer,
    store: Store,
    leases: Leases,
    clock: SystemClock,
    addresses: LoadBalancerAddresses,
) -> Controller:
    checker: Checker = NetworkChecker(engine, clock)
    target_checker: Checker | None = None
    if isinstance(engine, MemoryEngine):
        checker, target_checker = MemoryChecker(engine), MemoryTargetChecker(engine)
    return Controller(
        engine=engine,
        balancer=balancer,
        store=store,
        leases=leases,
        checker=checker,
        target_checker=target_checker,
        addresses=addresses,
        clock=clock,
        publish_address=config.publish_address,
        policy=PolicyFile(
            config.home,
            runs_commands=not engine.traits.runs_images,
            runs_both=engine.traits.runs_both,
        ),
        access_log=AccessLog(config.home / "log" / "access", everybody=config.access_log),
    )


class MemoryChecker:
    """Asks the memory engine how an instance is; there is no network to ask over."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        if target.check.kind is CheckKind.NONE:
            return True, "not checked"
        return self._engine.health_of(target.instance_id)


class MemoryTargetChecker:
    """Likewise for targets of load balancers; one registered by hand is well."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        if not target.subject:
            return True, ""
        passed, detail = self._engine.health_of(target.subject)
        return passed, "" if passed else detail if detail.startswith(CODES) else FAILED
