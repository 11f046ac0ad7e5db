"""What portway decided about one App and must not forget: its target, instances, deployment, service ports.

Written only by the controller, saved before anything is done about it. Counts are derived, never kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from portway.core.app import App, Strategy
from portway.core.instance import InstanceRecord, Phase
from portway.core.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One immutable spec of an App. `id` is the release that brought it, or "RELEASE-n" after a restart.

    `environment` holds the stack's variables at that release; secret, never shown. `within_policy`: whoever
    made it is bound by the policy, which is asked again before every start.
    """

    id: str
    release: str
    app: App
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    within_policy: bool = False
    made_at_ms: int = 0  # 0: nobody remembers


class DeploymentStatus(StrEnum):
    """A deployment runs until it ends in exactly one of the other ways."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The change of one App from one revision (or count) to another, with its progress.

    `id` is shared by every App of one promotion, `release` is what that promotion brings.
    `from_app`: the spec before, where the revision stays and its spec changes in place. `strategy` is
    fixed when it begins; `step`: how many of its steps are behind it, `step_began_ms`: when the present
    one began; `baking_since_ms`: since when all of it serves. `traffic_before`: what the balancer had counted
    by instance when a deployment by steps began.
    """

    id: str
    release: str = ""
    to_revision: str
    from_revision: str | None = None
    from_count: int | None = None
    from_app: App | None = None
    status: DeploymentStatus = DeploymentStatus.RUNNING
    started_at_ms: int
    ended_at_ms: int | None = None
    progressed_at_ms: int  # when an instance last became ready, or a step was done
    reason: str = ""
    strategy: Strategy = Strategy()
    step: int = 0
    step_began_ms: int | None = None
    baking_since_ms: int | None = None
    traffic_before: Mapping[str, Traffic] | None = None
    paused_at_ms: int | None = None  # nothing starts and nothing leaves until it is resumed


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An instance that left on its own, kept for back-off, the deployment's verdict and for people.

    `never_healthy`: it ran all of its start-up time without passing its check. `never_started`: it did not even run.
    `by_others`: its checks had it ended, or its node went away; it did not end by itself.
    """

    at_ms: int
    instance_id: str
    revision: str
    reason: str
    never_healthy: bool = False
    never_started: bool = False
    by_others: bool = False
    started_at_ms: int | None = None  # when the instance had started


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """Everything decided about one App.

    `target`: the revision that should run; None once deleted. `next_serial` numbers instances and
    is never reused. `leaving`: the release being promoted does not name it; it goes when that succeeds.
    `service_ports` maps (port name, nth) written "name" or "name#n" to the listener port assigned by portway.
    """

    app_id: str
    target: Revision | None
    revisions: Mapping[str, Revision] = field(
        default_factory=dict
    )  # those that instances still run
    count: int = 1
    next_serial: int = 1
    instances: tuple[InstanceRecord, ...] = ()
    deployment: Deployment | None = None
    failures: tuple[Failure, ...] = ()
    service_ports: Mapping[str, int] = field(default_factory=dict)
    halted: str = ""  # why no new instance is started (a failed first deployment); cleared by the next deployment
    called_off: bool = False  # that deployment was aborted: what it had started leaves as well
    leaving: bool = False
    version: int = 0  # the store's row version

    @property
    def live(self) -> tuple[InstanceRecord, ...]:
        """The instances that are not GONE."""
        return tuple([i for i in self.instances if i.phase is not Phase.GONE])
