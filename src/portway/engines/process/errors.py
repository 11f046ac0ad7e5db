"""What the process engine says when something cannot be done: what, where, why, and what to do. Pure."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from portway.core.errors import EngineError, EngineErrorKind

BUSY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


def unusable(instances: Path, error: OSError) -> EngineError:
    """The directory of records can be neither read nor written."""
    return EngineError(
        f"The records of running processes in {instances} cannot be used: {error.strerror or error}.",
        hint="Make the directory readable and writable for the user portway runs as.",
        kind=EngineErrorKind.UNAVAILABLE,
    )


def unknown(instance_id: str) -> EngineError:
    """No record bears that name."""
    return EngineError(
        f"There is no instance {instance_id}.",
        hint="`portway ps` shows those there are.",
        retryable=False,
        kind=EngineErrorKind.NOT_FOUND,
    )


def not_running(instance_id: str) -> EngineError:
    """Only a running instance can be joined."""
    return EngineError(
        f"Instance {instance_id} does not run, so nothing can run inside it.",
        retryable=False,
        kind=EngineErrorKind.NOT_FOUND,
    )


def start_failed(instance_id: str, instances: Path, error: Exception) -> EngineError:
    """The record or the supervisor could not be made; nothing runs."""
    number = error.errno if isinstance(error, OSError) else None
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    hint = "Try again later."
    if number == errno.ENOSPC:
        hint = f"Make room on the disk that holds {instances}."
    elif number == errno.E2BIG:
        hint = "Its command or environment is too large; pass large values in a file."
    elif number in BUSY:
        hint = "The machine is out of processes, memory or open files; raise that limit."
    return EngineError(f"{instance_id} could not be started: {reason}.", hint=hint)


def exec_failed(instance_id: str, argv: Sequence[str], error: OSError | None) -> EngineError:
    """The command cannot be run beside the instance; no `error`: there is no such program."""
    program = argv[0] if argv else ""
    why = (error.strerror or str(error)) if error else "there is no such program"
    return EngineError(
        f"{program!r} cannot be run in {instance_id}: {why}.",
        hint="Programs are looked for on the instance's own PATH.",
        retryable=False,
        kind=EngineErrorKind.BAD_COMMAND,
    )


def no_images(what: str) -> EngineError:
    """`what` completes "The process engine cannot ..."."""
    return EngineError(
        f"The process engine cannot {what}: it runs commands, not images.",
        hint="Give the service a `command:` that runs here, or start the server with `--engine docker`.",
        retryable=False,
        kind=EngineErrorKind.IMAGE_MISSING,
    )
