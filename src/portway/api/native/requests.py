"""What requests carry besides the views: bodies and query parameters, as values. The descriptions go into the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from portway.controller.views import StrategyRequest

_SEQUENCE_MAX = 2**63 - 1
_COUNT_MAX = 2**31 - 1

Moment = Annotated[int, Meta(ge=0, le=_SEQUENCE_MAX)]
Count = Annotated[int, Meta(ge=0, le=_COUNT_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """How to deploy, where it is not to be as the manifest says.

    `strategy`: rolling, canary or blue-green. `canary`: its steps, for instance "5%,25%,50%". `bake_s`:
    how long each step is observed. `hold`: each step waits for `resume` instead. `max_failed`: so many more
    requests may fail than of the old release, for instance "5%"; "100%" judges none.
    """

    strategy: str = ""
    canary: str = ""
    bake_s: float | None = None
    hold: bool = False
    max_failed: str = ""

    @property
    def asked(self) -> StrategyRequest | None:
        """What of it was given; None when nothing was."""
        asked = StrategyRequest(
            strategy=self.strategy,
            canary=self.canary,
            bake_s=self.bake_s,
            hold=self.hold,
            max_failed=self.max_failed,
        )
        return None if asked == StrategyRequest() else asked


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteRequest(Steps):
    """How to promote. `force`: replace instances even where nothing changed."""

    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest(Steps):
    """Where to go back to. `to`: a release id; empty = the release before the active one."""

    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRequest:
    """How many instances: App name -> count."""

    counts: Mapping[str, Count]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequest(Steps):
    """What to restart. `app`: one App; empty = every App of the stack."""

    app: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRequest:
    """Variables to set and names to unset."""

    set: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A certificate for the listener `target` ("web:8443"), as PEM text; without both texts a self-signed one is made."""

    target: str
    certificate_pem: str = ""
    key_pem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """The image to fetch, as `docker pull` takes it."""

    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The command of a one-off instance, as an argument vector."""

    argv: Annotated[tuple[str, ...], Meta(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackQuery:
    """Narrow to one stack."""

    stack: Annotated[str, Meta(description="Only this stack; empty = all.")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapQuery:
    """Narrow to one stack, or to a moment of the past."""

    stack: Annotated[str, Meta(description="Only this stack; empty = all.")] = ""
    at: Annotated[
        Moment | None, Meta(description="As it was at this time (Unix milliseconds); empty = now.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AroundQuery:
    """Which moment."""

    at: Annotated[Moment, Meta(description="The time, in Unix milliseconds.")]
    stack: Annotated[str, Meta(description="Only this stack; empty = all.")] = ""
    limit: Annotated[
        int, Meta(ge=2, le=10_000, description="At most so many, half before and half after.")
    ] = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Which port, and when."""

    number: Annotated[int, Meta(ge=1, le=65535, description="A host port or a listener.")]
    at: Annotated[
        Moment | None, Meta(description="Who had it at this time (Unix milliseconds); empty = now.")
    ] = None
    limit: Annotated[
        int, Meta(ge=1, le=10_000, description="At most so many changes, the newest.")
    ] = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyQuery:
    """What is asked about."""

    subject: Annotated[
        str,
        Meta(description='An App "web", an instance "web.1", "host:port", or a URL.'),
    ]
    stack: Annotated[str, Meta(description="Where names are looked for; empty = everywhere.")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteQuery:
    """How to delete."""

    drain: Annotated[bool, Meta(description="Wait for open connections (1), or cut them (0).")] = (
        True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasesQuery:
    """How many releases."""

    limit: Annotated[int, Meta(ge=1, le=1000, description="At most so many, newest first.")] = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateQuery:
    """Which certificate."""

    target: Annotated[str, Meta(description='The listener, for instance "web:8443".')]
    name: Annotated[
        str, Meta(description="Which one, where the listener has several; empty = the only one.")
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsQuery:
    """Which part of the journal."""

    after: Annotated[
        int,
        Meta(
            ge=-1,
            le=_SEQUENCE_MAX,
            description="Only events with a greater sequence number; -1 = the newest `limit`.",
        ),
    ] = 0
    stack: Annotated[str, Meta(description="Only this stack; empty = all.")] = ""
    limit: Annotated[
        int, Meta(ge=1, le=100_000, description="At most so many of those already written.")
    ] = 1000
    follow: Annotated[bool, Meta(description="Go on with new events as they happen (1 or 0).")] = (
        False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsQuery:
    """Which log lines."""

    app: Annotated[str, Meta(description="Only this App; empty = all.")] = ""
    instance: Annotated[str, Meta(description='Only this instance, for instance "web.1".')] = ""
    follow: Annotated[bool, Meta(description="Go on with new lines as they come (1 or 0).")] = False
    tail: Annotated[
        Count | None, Meta(description="Only the last so many of the lines already written.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogQuery:
    """Which requests."""

    app: Annotated[str, Meta(description="Only this App; empty = all that keep a log.")] = ""
    follow: Annotated[bool, Meta(description="Go on with new requests as they end (1 or 0).")] = (
        False
    )
    tail: Annotated[
        Count | None, Meta(description="Only the last so many of those already written.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildQuery:
    """How to build an image."""

    app: Annotated[str, Meta(description="The App the image is for.")]
    dockerfile: Annotated[str, Meta(description="Its path inside the tar stream.")] = "Dockerfile"
    target: Annotated[str, Meta(description="The stage to build; empty = the last.")] = ""
    arg: Annotated[
        tuple[str, ...], Meta(description="A build argument NAME=VALUE; may be given repeatedly.")
    ] = ()
