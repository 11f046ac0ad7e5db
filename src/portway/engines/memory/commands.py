"""The few commands that instances in memory can run: enough for checks, `exec` and `run` to be shown. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command would end. `lasts_s` is how long a real one would take."""

    exit_code: int = 0
    output: bytes = b""
    lasts_s: float = 0.0


SHELLS = frozenset({"sh", "/bin/sh", "bash", "/bin/bash"})
PROGRAMS = frozenset({"true", "false", ":", "exit", "echo", "cat", "printenv", "env", "sleep"})


def unwrap(argv: Sequence[str]) -> tuple[str, ...]:
    """The words to run: the text of CMD-SHELL and `sh -c` split as a shell would."""
    if len(argv) >= 2 and argv[0] == "CMD-SHELL":
        return _split(argv[1])
    if len(argv) >= 3 and argv[0] in SHELLS and argv[1] == "-c":
        return _split(argv[2])
    return tuple(argv[1:] if argv and argv[0] == "CMD" else argv)


def knows(argv: Sequence[str]) -> bool:
    """Whether the command exists in memory."""
    words = unwrap(argv)
    return bool(words) and (words[0] in PROGRAMS or words[0] in SHELLS)


def reads_input(argv: Sequence[str]) -> bool:
    """Whether the command waits for its input to end."""
    words = unwrap(argv)
    return words[0] == "cat" or words[0] in SHELLS


def run(argv: Sequence[str], *, environment: Mapping[str, str], given: bytes = b"") -> Outcome:
    """What the command prints and ends with; 127 when it does not exist."""
    words = unwrap(argv)
    match words:
        case ("true" | ":", *_):
            return Outcome()
        case ("false", *_):
            return Outcome(exit_code=1)
        case ("exit",):
            return Outcome()
        case ("exit", code) if code.isdecimal():
            return Outcome(exit_code=int(code) % 256)
        case ("echo", *rest):
            return Outcome(output=(" ".join(rest) + "\n").encode())
        case ("cat", *_):
            return Outcome(output=given)
        case ("sleep", seconds) if seconds.isdecimal():
            return Outcome(lasts_s=float(seconds))
        case ("env",) | ("printenv",):
            return Outcome(output="".join(f"{k}={v}\n" for k, v in environment.items()).encode())
        case ("printenv", name):
            value = environment.get(name)
            found = value is not None
            return Outcome(exit_code=0 if found else 1, output=f"{value}\n".encode() * found)
        case (shell,) if shell in SHELLS:
            return _script(given, environment)
        case _:
            name = words[0] if words else ""
            return Outcome(exit_code=127, output=f"{name}: not found\n".encode())


def _split(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:  # an open quote: a command that does not exist
        return (text,)


def _script(text: bytes, environment: Mapping[str, str]) -> Outcome:
    """A shell that is given commands on its input runs them line by line."""
    output, last = b"", Outcome()
    for line in text.decode(errors="replace").splitlines():
        if words := _split(line):
            last = run(words, environment=environment)
            output += last.output
        if words and words[0] == "exit":
            break
    return Outcome(exit_code=last.exit_code, output=output)
