"""What a StartRequest means for a plain process: argv, account, directory, environment. Starts nothing.

Everything that can be known to be wrong before a start is refused here, as a sentence.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from portway.core.app import App, Protocol
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.ports import Lease
from portway.engines.base import StartRequest
from portway.engines.process.kernel import HOME_MARKER, MARKER
from portway.engines.process.record import Account

SHELL = "/bin/sh"
INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
)
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All that is needed to run the command."""

    argv: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    account: Account | None
    warnings: tuple[str, ...]


def prepare_launch(request: StartRequest, home_id: str) -> Launch:
    """What to run for the request; EngineError(kind=BAD_COMMAND) when it cannot run."""
    app = request.revision.app
    argv = _argv(request)
    account = find_account(app)
    directory = _directory(request)
    environment = _environment(request, account, home_id)
    if find_program(argv[0], environment.get("PATH", DEFAULT_PATH), directory) is None:
        raise _program_missing(app, argv[0], directory)
    return Launch(
        argv=argv,
        directory=directory,
        environment=environment,
        account=account,
        warnings=_ignored(app),
    )


def find_program(name: str, path: str, directory: str) -> str | None:
    """The executable file that `name` means there; None when there is none."""
    if "/" in name:
        places = [Path(directory) / name]
    else:
        places = [Path(directory) / folder / name for folder in path.split(os.pathsep)]
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return str(place)
    return None


def check_ports_free(leases: Sequence[Lease]) -> None:
    """EngineError(kind=PORT_TAKEN) when a leased host port cannot be listened on now."""
    for lease in leases:
        kind = socket.SOCK_STREAM if lease.protocol is Protocol.TCP else socket.SOCK_DGRAM
        family = socket.AF_INET6 if ":" in lease.address else socket.AF_INET
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((lease.address, lease.host_port))
            except OSError as error:
                raise _port_refused(lease, error) from error


def find_account(app: App) -> Account | None:
    """Who `user:` means; None when that is whoever portway runs as."""
    if not app.user:
        return None
    user, _, group = app.user.partition(":")
    account = _account(app, user)
    if group:
        account = _with_group(app, account, group)
    if (account.uid, account.gid) == (os.geteuid(), os.getegid()):
        return None
    if os.geteuid() != 0:
        raise _bad(
            f"{app.id} asks for user {app.user}, but only root can run a process as somebody else.",
            "Run portway as root, or leave `user:` out.",
        )
    return account


def _argv(request: StartRequest) -> tuple[str, ...]:
    """The entrypoint comes first; a command written as one string goes through the shell."""
    app = request.revision.app
    if app.entrypoint:
        return (*app.entrypoint, *(request.command or ()))
    if request.command_text:
        return (SHELL, "-c", request.command_text)
    if request.command:
        return tuple(request.command)
    raise _bad(
        f"{app.id} has no command, and the process engine runs commands, not images.",
        "Give the service a `command:`, or start the server with `--engine docker`.",
    )


def _directory(request: StartRequest) -> str:
    app = request.revision.app
    directory = Path(request.directory or "/") / app.working_dir
    if not directory.is_dir():
        problem = "is not a directory" if directory.exists() else "does not exist"
        raise _bad(
            f"{app.id} cannot start in {directory}: it {problem}.",
            "Create it, or change `working_dir:`.",
        )
    return str(directory)


def _environment(request: StartRequest, account: Account | None, home_id: str) -> dict[str, str]:
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment.setdefault("PATH", DEFAULT_PATH)
    if account is not None:
        environment |= {"USER": account.name, "LOGNAME": account.name}
        environment |= {"HOME": account.home, "SHELL": account.shell}
    environment |= request.environment
    environment |= {MARKER: request.identity.id, HOME_MARKER: home_id}
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise _bad(
                f"{request.revision.app.id} has an environment variable that cannot exist: {name!r}.",
                "Names are not empty and hold no =; neither names nor values hold a zero byte.",
            )
    return environment


def _account(app: App, user: str) -> Account:
    entry = None
    with suppress(KeyError):
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    if entry is None and user.isdecimal():
        uid = int(user)
        return Account(name=user, uid=uid, gid=uid, groups=(), home="/", shell=SHELL)
    if entry is None:
        raise _bad(
            f"{app.id} asks for user {user}, but this machine has no such user.",
            f"Create it (useradd {user}), or change `user:`.",
        )
    return Account(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
        home=entry.pw_dir,
        shell=entry.pw_shell or SHELL,
    )


def _with_group(app: App, account: Account, group: str) -> Account:
    try:
        gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise _bad(
            f"{app.id} asks for group {group}, but this machine has no such group.",
            f"Create it (groupadd {group}), or change `user:`.",
        ) from None
    return Account(
        name=account.name,
        uid=account.uid,
        gid=gid,
        groups=(gid,),
        home=account.home,
        shell=account.shell,
    )


def _ignored(app: App) -> tuple[str, ...]:
    """What the App asks for and a plain process cannot have."""
    asked = (
        ("volumes", bool(app.volumes)),
        ("extra_hosts", bool(app.extra_hosts)),
        ("networks", bool(app.networks)),
        ("image", app.image is not None),
        ("privileged or cap_add", app.container.privileged or bool(app.container.cap_add)),
    )
    return tuple(
        f"`{name}` means nothing to a process without a container and is ignored."
        for name, given in asked
        if given
    )


def _program_missing(app: App, program: str, directory: str) -> EngineError:
    where = f"in {directory}" if "/" in program else "on PATH"
    place = Path(directory) / program
    if "/" in program and place.exists():
        return _bad(
            f"{app.id} cannot run {place}: it is not an executable file.",
            f"Make it executable: chmod +x {place}",
        )
    return _bad(
        f"{app.id} cannot run {program}: there is no such program {where}.",
        "Install it, or correct `command:`.",
    )


def _port_refused(lease: Lease, error: OSError) -> EngineError:
    where = f"{lease.address}:{lease.host_port}/{lease.protocol.value}"
    if isinstance(error, PermissionError):
        return EngineError(
            f"Host port {where} may not be used: this user cannot listen below port 1024.",
            hint="Run portway as root, or choose a higher port.",
            retryable=False,
        )
    return EngineError(
        f"Host port {where} is in use by another program ({error.strerror}).",
        hint=f"See who has it: ss -lnp 'sport = :{lease.host_port}'",
        kind=EngineErrorKind.PORT_TAKEN,
    )


def _bad(message: str, hint: str) -> EngineError:
    return EngineError(message, hint=hint, retryable=False, kind=EngineErrorKind.BAD_COMMAND)
