"""Requests -> operations: each handler is one call of the contract and decides nothing itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import portway
from portway.api.native.endpoint import Call, NoQuery
from portway.api.native.requests import (
    AccessLogQuery,
    AroundQuery,
    BuildQuery,
    CertificateQuery,
    CertificateRequest,
    DeleteQuery,
    EnvironmentRequest,
    EventsQuery,
    HistoryQuery,
    LogsQuery,
    MapQuery,
    PromoteRequest,
    PullRequest,
    ReleasesQuery,
    RestartRequest,
    RollbackRequest,
    RunRequest,
    ScaleRequest,
    StackQuery,
    WhyQuery,
)
from portway.api.native.streams import closing_source
from portway.api.roles import Role
from portway.controller.contract import Operations
from portway.controller.machine.base import Finding
from portway.controller.views import (
    AccessLine,
    CertificateView,
    EnvView,
    InstanceView,
    MapRoute,
    PlanView,
    PortHistory,
    PromotionView,
    ReleaseRequest,
    ReleaseView,
    ServerView,
    StackView,
)
from portway.core.app import Build
from portway.core.errors import RequestError
from portway.core.events import Event
from portway.core.facts import Diagnosis
from portway.engines.base import LogLine, Progress, Stream

Plain = Call[None, NoQuery]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """Which portway answers, and which version of its API."""

    version: str
    api: str = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopView:
    """The server goes down; what runs goes on running."""

    stopping: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogView:
    """One line of one instance."""

    instance: str
    at_ms: int
    stream: Stream
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitView:
    """How a one-off instance ended; the last line of its stream."""

    exit_code: int


async def version(_: Operations, __: Plain) -> VersionView:
    return VersionView(version=portway.__version__)


async def server(do: Operations, _: Plain) -> ServerView:
    return await do.server()


async def doctor(do: Operations, _: Plain) -> tuple[Finding, ...]:
    return await do.doctor()


async def stop_server(do: Operations, _: Plain) -> StopView:
    await do.request_shutdown()
    return StopView()


async def stacks(do: Operations, _: Plain) -> tuple[StackView, ...]:
    return await do.stacks()


async def stack(do: Operations, call: Plain) -> StackView:
    return await do.stack(call.path["stack"])


async def delete_stack(do: Operations, call: Call[None, DeleteQuery]) -> PromotionView:
    return await do.delete_stack(call.path["stack"], drain=call.query.drain)


async def plan(do: Operations, call: Call[ReleaseRequest, NoQuery]) -> PlanView:
    return await do.plan(call.path["stack"], call.body, within_policy=_is_bound(call))


async def create_release(do: Operations, call: Call[ReleaseRequest, NoQuery]) -> ReleaseView:
    return await do.create_release(call.path["stack"], call.body, within_policy=_is_bound(call))


async def releases(do: Operations, call: Call[None, ReleasesQuery]) -> tuple[ReleaseView, ...]:
    return await do.releases(call.path["stack"], limit=call.query.limit)


async def release(do: Operations, call: Plain) -> ReleaseView:
    return await do.release(call.path["stack"], call.path["release"])


async def promote(do: Operations, call: Call[PromoteRequest, NoQuery]) -> PromotionView:
    body = call.body
    return await do.promote(
        call.path["stack"], call.path["release"], force=body.force, strategy=body.asked
    )


async def rollback(do: Operations, call: Call[RollbackRequest, NoQuery]) -> PromotionView:
    return await do.rollback(call.path["stack"], to=call.body.to, strategy=call.body.asked)


async def cancel(do: Operations, call: Plain) -> PromotionView:
    return await do.cancel(call.path["stack"])


async def pause(do: Operations, call: Plain) -> PromotionView:
    return await do.pause(call.path["stack"])


async def resume(do: Operations, call: Plain) -> PromotionView:
    return await do.resume(call.path["stack"])


async def scale(do: Operations, call: Call[ScaleRequest, NoQuery]) -> PromotionView:
    return await do.scale(call.path["stack"], call.body.counts)


async def restart(do: Operations, call: Call[RestartRequest, NoQuery]) -> PromotionView:
    return await do.restart(call.path["stack"], call.body.app, strategy=call.body.asked)


async def instances(do: Operations, call: Call[None, StackQuery]) -> tuple[InstanceView, ...]:
    return await do.instances(call.query.stack)


async def stop_instance(do: Operations, call: Plain) -> InstanceView:
    return await do.stop_instance(call.path["stack"], call.path["instance"])


async def environment(do: Operations, call: Plain) -> EnvView:
    return await do.environment(call.path["stack"])


async def change_environment(do: Operations, call: Call[EnvironmentRequest, NoQuery]) -> EnvView:
    view = await do.change_environment(
        call.path["stack"],
        set_=call.body.set,
        unset=call.body.unset,
        within_policy=_is_bound(call),
    )
    if not _is_bound(call):
        return view
    # Whoever may set a variable need not know the others.
    return replace(view, environment=dict(call.body.set))


async def certificates(do: Operations, call: Plain) -> tuple[CertificateView, ...]:
    return await do.certificates(call.path["stack"])


async def create_certificate(
    do: Operations, call: Call[CertificateRequest, NoQuery]
) -> CertificateView:
    return await _put_certificate(do, call, replace=False)


async def replace_certificate(
    do: Operations, call: Call[CertificateRequest, NoQuery]
) -> CertificateView:
    return await _put_certificate(do, call, replace=True)


async def delete_certificate(do: Operations, call: Call[None, CertificateQuery]) -> CertificateView:
    return await do.delete_certificate(call.path["stack"], call.query.target, name=call.query.name)


async def port_map(do: Operations, call: Call[None, MapQuery]) -> tuple[MapRoute, ...]:
    if call.query.at is not None:
        return await do.map_at(call.query.at, stack=call.query.stack)
    return await do.map(call.query.stack)


async def port_history(do: Operations, call: Call[None, HistoryQuery]) -> PortHistory:
    asked = call.query
    return await do.port_history(asked.number, at_ms=asked.at, limit=asked.limit)


async def events_around(do: Operations, call: Call[None, AroundQuery]) -> tuple[Event, ...]:
    asked = call.query
    return await do.events_around(asked.at, stack=asked.stack, limit=asked.limit)


async def why(do: Operations, call: Call[None, WhyQuery]) -> Diagnosis:
    return await do.why(call.query.subject, stack=call.query.stack)


def events(do: Operations, call: Call[None, EventsQuery]) -> AsyncIterator[Event]:
    asked = call.query
    return do.events(after=asked.after, stack=asked.stack, follow=asked.follow, limit=asked.limit)


def logs(do: Operations, call: Call[None, LogsQuery]) -> AsyncIterator[LogView]:
    asked = call.query
    return _log_views(
        do.logs(
            call.path["stack"],
            app=asked.app,
            instance=asked.instance,
            follow=asked.follow,
            tail=asked.tail,
        )
    )


def build(do: Operations, call: Call[None, BuildQuery]) -> AsyncIterator[Progress]:
    asked = call.query
    wanted = Build(
        context="",
        dockerfile=asked.dockerfile,
        args=dict(_build_argument(text) for text in asked.arg),
        target=asked.target,
    )
    return do.build(call.path["stack"], asked.app, wanted, call.upload)


def pull(do: Operations, call: Call[PullRequest, NoQuery]) -> AsyncIterator[Progress]:
    return do.pull(call.body.image)


def access_log(do: Operations, call: Call[None, AccessLogQuery]) -> AsyncIterator[AccessLine]:
    asked = call.query
    return do.access_log(call.path["stack"], app=asked.app, follow=asked.follow, tail=asked.tail)


def run(do: Operations, call: Call[RunRequest, NoQuery]) -> AsyncIterator[LogView | ExitView]:
    return _run_views(do.run(call.path["stack"], call.path["app"], call.body.argv))


def _is_bound(call: Call[Any, Any]) -> bool:
    """Whether the policy binds the caller: everybody but an admin."""
    return not call.role.covers(Role.ADMIN)


async def _put_certificate(
    do: Operations, call: Call[CertificateRequest, NoQuery], *, replace: bool
) -> CertificateView:
    return await do.put_certificate(
        call.path["stack"],
        call.body.target,
        certificate_pem=call.body.certificate_pem,
        key_pem=call.body.key_pem,
        replace=replace,
    )


async def _log_views(lines: AsyncIterator[tuple[str, LogLine]]) -> AsyncIterator[LogView]:
    async with closing_source(lines):
        async for instance, line in lines:
            yield _log_view(instance, line)


async def _run_views(
    lines: AsyncIterator[tuple[str, LogLine] | int],
) -> AsyncIterator[LogView | ExitView]:
    async with closing_source(lines):
        async for item in lines:
            yield ExitView(exit_code=item) if isinstance(item, int) else _log_view(*item)


def _log_view(instance: str, line: LogLine) -> LogView:
    return LogView(instance=instance, at_ms=line.at_ms, stream=line.stream, text=line.text)


def _build_argument(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise RequestError(
            f'The query is wrong: arg: "{text[:60]}" is not NAME=VALUE.',
            hint="Write arg=NAME%3DVALUE.",
        )
    return name, value
