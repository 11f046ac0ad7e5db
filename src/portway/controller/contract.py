"""Operations: what callers may ask of a running portway. The three HTTP faces and the CLI know nothing else.

Every refusal is a RequestError or ManifestError with a sentence and, where it helps, "did you mean".
Nothing waits for a deployment to end: follow `events` after PromotionView.sequence, or ask `stack`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from portway.controller.balancing.balancing import Balancing
from portway.controller.ecs.task_index import TaskIndex
from portway.controller.machine.base import Finding
from portway.controller.overview import Overview
from portway.controller.views import (
    AccessLine,
    CertificateView,
    EnvView,
    InstanceView,
    MapRoute,
    NodeStatus,
    PlanView,
    PortHistory,
    PromotionView,
    ReleaseRequest,
    ReleaseView,
    ServerView,
    StackView,
    StrategyRequest,
)
from portway.core.app import App, Build
from portway.core.events import Event
from portway.core.facts import Diagnosis
from portway.core.placement import NodeView
from portway.engines.base import ExecRequest, ExecSession, LogLine, Progress


class Operations(Protocol):
    """Everything the CLI and the APIs can do."""

    @property
    def balancing(self) -> Balancing:
        """Load balancers, and how their targets stand."""
        ...

    async def server(self) -> ServerView: ...

    async def doctor(self) -> tuple[Finding, ...]:
        """What of this machine would get in the way, and what to do about it."""
        ...

    async def metrics(self) -> str:
        """The page for Prometheus."""
        ...

    async def stacks(self) -> tuple[StackView, ...]: ...
    async def stack(self, name: str) -> StackView: ...
    async def delete_stack(self, name: str, *, drain: bool = True) -> PromotionView:
        """Drain and stop everything of the stack, then forget it. Not `drain`: open connections are cut."""
        ...

    async def secrets(self, names: Sequence[str]) -> Mapping[str, str]:
        """What the secrets of task definitions hold, by `valueFrom`; those that are not on this machine are left out."""
        ...

    async def plan(
        self, stack: str, request: ReleaseRequest, *, within_policy: bool = False
    ) -> PlanView: ...
    async def create_release(
        self, stack: str, request: ReleaseRequest, *, within_policy: bool = False
    ) -> ReleaseView:
        """Parse, validate and keep a release; nothing runs yet. Creates the stack when new.

        `within_policy`: the caller is no admin, and PolicyError says what the manifest may not ask for.
        """
        ...

    async def releases(self, stack: str, *, limit: int = 20) -> tuple[ReleaseView, ...]: ...
    async def release(self, stack: str, release_id: str) -> ReleaseView: ...
    async def promote(
        self,
        stack: str,
        release_id: str,
        *,
        force: bool = False,
        strategy: StrategyRequest | None = None,
    ) -> PromotionView:
        """Deploy a release. 409 while another deployment of the stack runs (unless it is the failed or same one);
        `force`: replace instances even where nothing changed."""
        ...

    async def rollback(
        self, stack: str, *, to: str = "", strategy: StrategyRequest | None = None
    ) -> PromotionView:
        """Promote the release before the active one, or `to`. Of a loose stack the App changed last goes back, or that of `to`."""
        ...

    async def cancel(self, stack: str) -> PromotionView:
        """Stop running deployments and return to what ran before."""
        ...

    async def pause(self, stack: str) -> PromotionView:
        """Have running deployments stand still: nothing starts and nothing leaves, but what fails is replaced."""
        ...

    async def resume(self, stack: str) -> PromotionView:
        """Go on with what was paused; else with what holds at a step."""
        ...

    async def put_app(
        self,
        stack: str,
        app: App,
        *,
        count: int | None = None,
        environment: Mapping[str, str] | None = None,
        description: str = "",
        note: str = "",
        manifest: str = "",
        force: bool = False,
        supersede: bool = True,
        within_policy: bool = False,
    ) -> PromotionView:
        """Make or change one App of a loose stack (made when new); the others go on as they are.

        What changes nothing an instance could tell replaces none, unless `force`. A running deployment of the App is
        taken over (409 without `supersede`). `count` None: what it was, else the App's own. An image that is not there
        is pulled when an instance starts. `description` is the release's, `note` the journal's, `manifest` what the
        user wrote. 409 where the stack is no loose one, or the App is still being removed.
        """
        ...

    async def remove_app(
        self, stack: str, app: str, *, drain: bool = True, reason: str = ""
    ) -> PromotionView:
        """Drain and stop one App of a loose stack, then forget it. `reason` is why its instances leave."""
        ...

    async def cancel_app(self, stack: str, app: str) -> PromotionView:
        """End the running deployment of one App of a loose stack; it returns to what ran before. 409 without any."""
        ...

    async def scale(self, stack: str, counts: Mapping[str, int]) -> PromotionView: ...
    async def restart(
        self, stack: str, app: str = "", *, strategy: StrategyRequest | None = None
    ) -> PromotionView:
        """Replace every instance, rolling, with the same release."""
        ...

    async def nodes(self) -> tuple[NodeView, ...]:
        """The machines that instances run on, as they were last seen."""
        ...

    async def instances(self, stack: str = "") -> tuple[InstanceView, ...]: ...
    async def overview(
        self, stack: str = "", *, app_ids: Collection[str] | None = None
    ) -> Overview:
        """What is decided and seen of these Apps, of a stack's or of all, as core values; nothing of what is not there."""
        ...

    async def tasks(self) -> TaskIndex:
        """Every task of ECS that is known, as things are now: to be read before anything else is waited for."""
        ...

    async def protect_instances(
        self, stack: str, app: str, until_ms: Mapping[str, int | None]
    ) -> frozenset[str]:
        """Until then neither a smaller count nor a newer revision lets these go; None ends it. Those it was done for."""
        ...

    async def stop_instance(self, stack: str, instance: str, *, reason: str = "") -> InstanceView:
        """Drain and stop one instance; its slot is filled again. `instance`: "web.1.7", or "web.1" for the newest.

        `reason`: the caller's words for why; "" = stopped by the user.
        """
        ...

    async def node_statuses(self) -> tuple[NodeStatus, ...]:
        """The machines instances run on, with what is set aside on each."""
        ...

    async def mark_node(
        self,
        name: str,
        *,
        attributes: Mapping[str, str | None] | None = None,
        draining: bool | None = None,
    ) -> NodeStatus:
        """Say something of a node that outlives the server. An attribute None is taken away.

        `draining`: it gets nothing new, and what runs there (but for what runs once) is replaced elsewhere within its
        App's bounds.
        """
        ...

    async def environment(self, stack: str) -> EnvView: ...
    async def change_environment(
        self,
        stack: str,
        *,
        set_: Mapping[str, str],
        unset: Sequence[str],
        within_policy: bool = False,
    ) -> EnvView:
        """Make a release with the changed variables (EnvView.release); nothing runs it until promoted."""
        ...

    async def certificates(self, stack: str) -> tuple[CertificateView, ...]: ...
    async def put_certificate(
        self, stack: str, target: str, *, certificate_pem: str, key_pem: str, replace: bool
    ) -> CertificateView:
        """`target` "web:8443". Not `replace`: one more certificate (SNI), 409 when its domains already have one there.
        `certificate_pem` and `key_pem` empty: make a self-signed one."""
        ...

    async def delete_certificate(
        self, stack: str, target: str, *, name: str = ""
    ) -> CertificateView: ...

    async def why(self, subject: str, *, stack: str = "") -> Diagnosis:
        """`subject`: an App "web", an instance "web.1", "host:port" or a URL; the first broken hop on the way to it.
        404 for a name nobody knows. `stack` narrows names."""
        ...

    async def map(self, stack: str = "") -> tuple[MapRoute, ...]: ...
    async def map_at(self, at_ms: int, *, stack: str = "") -> tuple[MapRoute, ...]:
        """The map as it was. 404 for a moment before the journal begins."""
        ...

    async def port_history(
        self, number: int, *, at_ms: int | None = None, limit: int = 1000
    ) -> PortHistory:
        """Who has (or at `at_ms` had) a port, and the newest changes of it."""
        ...

    async def events_around(
        self, at_ms: int, *, stack: str = "", limit: int = 50
    ) -> tuple[Event, ...]:
        """Half of `limit` events up to a moment and half after it, oldest first."""
        ...

    def events(
        self, *, after: int = 0, stack: str = "", follow: bool = False, limit: int = 1000
    ) -> AsyncIterator[Event]: ...
    def logs(
        self,
        stack: str,
        *,
        app: str = "",
        instance: str = "",
        follow: bool = False,
        tail: int | None = None,
    ) -> AsyncIterator[tuple[str, LogLine]]:
        """(instance "web.1.7", line); with `follow` instances that start later are joined."""
        ...

    def access_log(
        self, stack: str, *, app: str = "", follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[AccessLine]:
        """The requests written down, App by App, oldest first; with `follow` those that end from now on too."""
        ...

    def exec(
        self, stack: str, instance: str, request: ExecRequest
    ) -> AbstractAsyncContextManager[ExecSession]:
        """`instance`: "web.1.7", "web.1", or "web" (any healthy one)."""
        ...

    def run(
        self, stack: str, app: str, argv: Sequence[str]
    ) -> AsyncIterator[tuple[str, LogLine] | int]:
        """A one-off instance of the App's active revision with another command, unrouted; yields its lines, then
        its exit code. Closing the iterator stops it."""
        ...

    def build(
        self, stack: str, app: str, build: Build, context: AsyncIterator[bytes]
    ) -> AsyncIterator[Progress]: ...
    def pull(self, image: str) -> AsyncIterator[Progress]: ...
    async def request_shutdown(self) -> None: ...
