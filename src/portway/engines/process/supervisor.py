"""The supervisor: a small shell that outlives portway, runs one command and writes down how it ended.

    portway ──spawns──> supervisor (session of its own, holds the lock) ──forks──> command (session of its own)

Signals meant for the command never reach the supervisor, so SIGKILL of the command's whole group still leaves an exit
code. A shell costs a tenth of what a Python would, which matters at 500 instances. The script uses only what every
/bin/sh has built in, and variables no command will miss.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from portway.core.errors import EngineError, EngineErrorKind
from portway.engines.base import Stream
from portway.engines.process.record import Account, ProcessRecord, RecordDirectory

LOCK_DESCRIPTOR = 3
NOT_STARTED = 125  # what the supervisor says when the command could not even be tried
SCRIPT = """\
trap : HUP INT TERM
cd "$1" || exit 125
__portway_oom=$2
shift 2
read -r __portway </proc/self/stat && echo "$__portway" >supervisor || exit 125
(
read -r __portway </proc/self/stat && echo "$__portway" >child || exit 125
exec 3>&-
while [ "$1" != -- ]; do echo 0 >"$1"; shift; done
cd "$2" || exit 125
shift 2
unset OLDPWD __portway __portway_oom
exec "$@"
)
__portway=$?
__portway_kills=0
if [ -n "$__portway_oom" ]; then
while read -r __portway_key __portway_value; do
[ "$__portway_key" = oom_kill ] && __portway_kills=$__portway_value
done <"$__portway_oom"
fi
echo "$__portway $__portway_kills" 1<>exit
"""
# A shell drops environment variables whose names it could not write (discovery.type), so for those the command is
# started through this: it reads the environment from the record instead.
ODD_NAMES = """\
import json, os, sys
with open(sys.argv[1], encoding="utf-8") as record:
    environment = json.load(record)["environment"]
os.execvpe(sys.argv[2], sys.argv[2:], environment)
"""
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The programs of the system that instances are started with."""

    shell: str
    setsid: str
    setpriv: str  # "" when absent: instances cannot run as another user
    foreign: tuple[
        int, ...
    ] = ()  # descriptors portway was started with, no business of an instance


def find_tools() -> Tools:
    """Where they are; EngineError(kind=UNAVAILABLE) that says what to install."""
    shell, setsid = shutil.which("sh"), shutil.which("setsid")
    if not sys.platform.startswith("linux") or not Path("/proc/self/stat").exists():
        raise EngineError(
            "The process engine needs Linux with /proc mounted.",
            hint="Use `--engine docker` on this machine.",
            retryable=False,
            kind=EngineErrorKind.UNAVAILABLE,
        )
    if shell is None or setsid is None:
        raise EngineError(
            "The process engine needs the programs sh and setsid, and one is not on PATH.",
            hint="Install them: apt install util-linux dash",
            retryable=False,
            kind=EngineErrorKind.UNAVAILABLE,
        )
    return Tools(
        shell=shell,
        setsid=setsid,
        setpriv=shutil.which("setpriv") or "",
        foreign=_foreign_descriptors(),
    )


def spawn_supervisor(
    tools: Tools, directory: RecordDirectory, record: ProcessRecord, lock: int
) -> int:
    """Start the supervisor of a written record and give it the lock; its pid. OSError when that fails."""
    joins = [f"{group}/cgroup.procs" for group in record.cgroups]
    command = _command(tools, directory, record)
    argv = [tools.shell, "-c", SCRIPT, f"portway:{record.identity.id}", str(directory.path)]
    argv += [record.oom_file, *joins, "--", record.directory, *command]
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    given = fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, 10)  # dup2 onto itself would keep it CLOEXEC
    try:
        return os.posix_spawn(
            tools.shell,
            argv,
            dict(record.environment),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, given, LOCK_DESCRIPTOR),
                *((os.POSIX_SPAWN_CLOSE, each) for each in tools.foreign),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(directory.log_path(Stream.STDOUT)), append, 0o600),
                (os.POSIX_SPAWN_OPEN, 2, str(directory.log_path(Stream.STDERR)), append, 0o600),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_defaults(),
        )
    finally:
        os.close(given)


def as_account(tools: Tools, account: Account | None) -> tuple[str, ...]:
    """The words that come before a command to run it as somebody else."""
    if account is None:
        return ()
    if not tools.setpriv:
        raise EngineError(
            f"Running as user {account.name} needs the program setpriv, and it is not on PATH.",
            hint="Install it: apt install util-linux",
            retryable=False,
            kind=EngineErrorKind.BAD_COMMAND,
        )
    groups = (
        f"--groups={','.join(map(str, account.groups))}" if account.groups else "--clear-groups"
    )
    return (tools.setpriv, f"--reuid={account.uid}", f"--regid={account.gid}", groups, "--")


def _command(tools: Tools, directory: RecordDirectory, record: ProcessRecord) -> Sequence[str]:
    command = (*as_account(tools, record.account), *record.argv)
    if _has_odd_names(record.environment):
        helper = (sys.executable, "-I", "-S", "-c", ODD_NAMES, str(directory.record_path))
        return (tools.setsid, *helper, *command)
    return (tools.setsid, *command)


def _foreign_descriptors() -> tuple[int, ...]:
    """Python makes none that is inherited, so these came from whoever started portway."""
    found: list[int] = []
    for entry in tuple(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # the one the listing itself used
            if int(entry.name) > LOCK_DESCRIPTOR and os.get_inheritable(int(entry.name)):
                found.append(int(entry.name))
    return tuple(found)


def _has_odd_names(environment: Mapping[str, str]) -> bool:
    return not all(_SHELL_NAME.fullmatch(name) for name in environment)


def _defaults() -> list[int]:
    """Python ignores some signals, and an ignored signal stays ignored in what is started."""
    return sorted(set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP})
