"""What the daemon refuses or fails at -> EngineErrors in plain sentences. Pure: reads texts, talks to nobody."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass

from portway.core.errors import EngineError, EngineErrorKind
from portway.core.ports import Lease
from portway.engines.base import StartRequest


class DockerRefusal(Exception):  # noqa: N818  (an answer of the daemon, not yet an error of ours)
    """The daemon answered with an HTTP status of 400 or more; never leaves this package."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """When the daemon's message matches `pattern`, `message` and `hint` (its groups filled in) are said instead."""

    pattern: str
    message: str
    hint: str
    kind: str = EngineErrorKind.OTHER
    retryable: bool = False


_RULES = (
    _Rule(
        pattern=r"exec: \"(?P<what>.*?)\": (?:stat .*?: no such file or directory|executable file not found)",
        message='the command "{what}" does not exist in the image {image}',
        hint="Check `command` and `entrypoint`; small images often have no shell and few programs.",
        kind=EngineErrorKind.BAD_COMMAND,
    ),
    _Rule(
        pattern=r"exec: \"(?P<what>.*?)\": (?:permission denied|is a directory)",
        message='"{what}" in the image {image} is not a program that may be executed',
        hint="Make it executable when the image is built (RUN chmod +x), or start it through its interpreter.",
        kind=EngineErrorKind.BAD_COMMAND,
    ),
    _Rule(
        pattern=r"[Nn]o (?:exec )?command specified",
        message="neither the app nor the image {image} says which command to run",
        hint="Add `command:` to the app, or CMD to the Dockerfile.",
        kind=EngineErrorKind.BAD_COMMAND,
    ),
    _Rule(
        pattern=r"Cannot mkdir: (?P<what>\S+) is not a directory|chdir to cwd \(\"(?P<cwd>[^\"]*)\"\)",
        message="the working directory {what}{cwd} is not a directory in the image {image}",
        hint="Correct `working_dir`.",
        kind=EngineErrorKind.BAD_COMMAND,
    ),
    _Rule(
        pattern=r"unable to find (?P<sort>user|group) (?P<what>[^:]+):",
        message='the {sort} "{what}" does not exist in the image {image}',
        hint="Correct `user`, or use a number, which need not exist in the image.",
        kind=EngineErrorKind.BAD_COMMAND,
    ),
    _Rule(
        pattern=r"No such image|no such image",
        message="the image {image} is not on this machine",
        hint="Pull it (`docker pull {image}`), build it, or correct its name.",
        kind=EngineErrorKind.IMAGE_MISSING,
    ),
    _Rule(
        pattern=r"invalid reference format",
        message='"{image}" is not the name of an image',
        hint="Names are lower case: name, name:tag, registry.example/name:tag or name@sha256:...",
        kind=EngineErrorKind.IMAGE_MISSING,
    ),
    _Rule(
        pattern=r"listen \w+ (?P<where>\S+): bind: cannot assign requested address",
        message="{where} is not an address of this machine, so nothing can be published there",
        hint="Publish on 127.0.0.1, or on an address that `ip addr` shows.",
    ),
    _Rule(
        pattern=r"listen \w+ (?P<where>\S+): bind: permission denied",
        message="Docker may not publish {where}: ports below 1024 are reserved on this machine",
        hint="Use a host port of 1024 or above.",
    ),
    _Rule(
        pattern=r"bind source path does not exist: (?P<what>.+)",
        message="the host path {what} does not exist, so it cannot be mounted",
        hint="Create it (`mkdir -p {what}`), or correct `volumes`.",
    ),
    _Rule(
        pattern=r"Duplicate mount point: (?P<what>.+)",
        message="two volumes are mounted at {what}",
        hint="Give each volume its own path inside the container.",
    ),
    _Rule(
        pattern=r"includes invalid characters for a local volume name",
        message="a volume has a name that Docker does not allow",
        hint="Volume names are letters, digits, '_', '.' and '-', and begin with a letter or digit.",
    ),
    _Rule(
        pattern=r"Minimum memory limit allowed is (?P<what>\w+)",
        message="the memory limit is below {what}, the least that Docker allows",
        hint="Raise `mem_limit` (`deploy.resources.limits.memory`).",
    ),
    _Rule(
        pattern=r"only (?P<what>\d+) CPUs available",
        message="the app asks for more CPUs than the {what} of this machine",
        hint="Lower `cpus` (`deploy.resources.limits.cpus`).",
    ),
    _Rule(
        pattern=r"gathering device information while adding custom device \"(?P<what>[^\"]*)\"",
        message="the device {what} does not exist on this machine",
        hint="Correct `devices`.",
    ),
    _Rule(
        pattern=r"unknown capability: \"(?P<what>[^\"]*)\"",
        message="there is no capability {what}",
        hint="Correct `cap_add` and `cap_drop`; `man capabilities` lists them.",
    ),
    _Rule(
        pattern=r"sysctl \"(?P<what>[^\"]*)\" is not in a separate kernel namespace",
        message="the kernel setting {what} cannot be set for one container",
        hint="Remove it from `sysctls`, or set it on the machine with `sysctl -w`.",
    ),
    _Rule(
        pattern=r"[Ii]nvalid signal: (?P<what>\S+)",
        message="there is no signal {what}",
        hint="Correct `stop_signal`; `kill -l` lists them.",
    ),
    _Rule(
        pattern=r"container name \"/?(?P<what>[^\"]+)\" is already in use",
        message="another container is named {what}, or one of that name is still being removed",
        hint="If it stays, remove it with `docker rm -f {what}`.",
        retryable=True,
    ),
    _Rule(
        pattern=r"network (?P<what>\S+) not found",
        message="the network {what} does not exist",
        hint="Create it (`docker network create {what}`), or correct its name.",
        retryable=True,
    ),
    _Rule(
        pattern=r"non-overlapping IPv4 address pool",
        message="Docker has no address range left for another network",
        hint="Remove unused ones with `docker network prune`, or add ranges as "
        "`default-address-pools` to /etc/docker/daemon.json.",
        retryable=True,
    ),
    _Rule(
        pattern=r"no space left on device",
        message="the disk that Docker uses is full",
        hint="See what fills it with `docker system df`; `docker system prune` removes what is unused.",
        retryable=True,
    ),
)

_PORT_TAKEN = re.compile(r"port is already allocated|address already in use")
_WHERE = re.compile(r"(?P<address>(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-fA-F:.]*\]):(?P<number>\d+)")


def explain_start(
    refusal: DockerRefusal, request: StartRequest, *, image: str = "", member: str = ""
) -> EngineError:
    """Why this instance (or its container `member`) could not be started, for the person who wrote the manifest."""
    if _PORT_TAKEN.search(refusal.message):
        return _port_taken(refusal.message, request)
    image = image or request.revision.app.image or ""
    of_it = f" (its container {member})" if member and not member.startswith(".") else ""
    doing = f"{request.identity.id}{of_it} could not be started"
    return explain(refusal, doing=doing, image=image)


def explain(refusal: DockerRefusal, *, doing: str, image: str = "") -> EngineError:
    """`doing` is a phrase with its subject ("web.1 could not be started"); the reason follows it."""
    for rule in _RULES:
        if match := re.search(rule.pattern, refusal.message):
            said = {key: value or "" for key, value in match.groupdict().items()}
            said.setdefault("image", image)
            return EngineError(
                f"{doing}: {rule.message.format(**said)}.",
                hint=rule.hint.format(**said),
                kind=rule.kind,
                retryable=rule.retryable,
            )
    if refusal.status == 404:
        return EngineError(
            f"{doing}: it does not exist in Docker.",
            hint="`portway ps` shows what runs.",
            kind=EngineErrorKind.NOT_FOUND,
            retryable=False,
        )
    return EngineError(
        f'{doing}: Docker refused and said "{tidy(refusal.message)}".',
        hint="`journalctl -u docker -n 50` shows what the daemon did.",
        retryable=refusal.status >= 500,
    )


def explain_unreachable(where: str, error: BaseException, *, timeout_s: float) -> EngineError:
    """Why there is no answer from the daemon, and what brings it back."""
    number = getattr(error, "errno", None) or getattr(
        getattr(error, "os_error", None), "errno", None
    )
    path = where.removeprefix("unix://")
    match number:
        case errno.EACCES | errno.EPERM:
            reason = f"this user may not open {path}"
            hint = "Run portway as root, or add the user to the group: `usermod -aG docker $USER`, then log in again."
        case errno.ENOENT:
            reason = f"there is no socket {path}"
            hint = (
                "Start it with `systemctl start docker` (install it with `apt-get install docker.io`), "
                "set DOCKER_HOST if it is elsewhere, or run without containers: `--engine process`."
            )
        case _ if isinstance(error, TimeoutError):
            reason = f"no answer within {timeout_s:g} s"
            hint = "It is overloaded or hung: see `journalctl -u docker`, then `systemctl restart docker`."
        case _:
            reason = "the connection was refused or cut"
            hint = (
                "Start it with `systemctl start docker`; `journalctl -u docker` says why it ended."
            )
    return EngineError(
        f"Docker does not answer at {where}: {reason}.",
        hint=hint,
        kind=EngineErrorKind.UNAVAILABLE,
    )


def runtime_failure(text: str) -> Callable[[str], EngineError] | None:
    """How to explain `text` when it is the runtime's own complaint rather than a command's output; else None."""
    if not text.startswith(("OCI runtime exec failed", "failed to exec", "unable to find user")):
        return None
    return lambda doing: explain(DockerRefusal(400, text), doing=doing, image="of the instance")


def tidy(message: str) -> str:
    """The daemon's sentence on one line, without the wrappings of each layer it came through."""
    text = " ".join(message.split())
    for wrapping in (
        "Error response from daemon: ",
        "failed to create shim task: ",
        "OCI runtime create failed: ",
        "OCI runtime exec failed: ",
        "runc create failed: ",
        "exec failed: ",
        "unable to start container process: ",
    ):
        text = text.removeprefix(wrapping)
    return text.removesuffix(": unknown").rstrip(".")


def _port_taken(message: str, request: StartRequest) -> EngineError:
    lease = _lease_in(message, request.identity.leases)
    if lease is not None:
        port = f"{lease.address}:{lease.host_port}/{lease.protocol}"
        what = f'the host port {port} of its port "{lease.port_name}" is taken'
    else:
        what = "one of its host ports is taken"
    return EngineError(
        f"{request.identity.id} could not be started: {what}.",
        hint="Another program or container has it; `ss -ltnup` and `docker ps` show which. "
        "A port without a fixed host port moves to another one by itself.",
        kind=EngineErrorKind.PORT_TAKEN,
    )


def _lease_in(message: str, leases: tuple[Lease, ...]) -> Lease | None:
    # A message may also name the container's own address and port: only a lease's number counts.
    numbers = {int(match["number"]) for match in _WHERE.finditer(message)}
    named = [lease for lease in leases if lease.host_port in numbers]
    return named[0] if named else None
