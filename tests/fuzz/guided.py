"""The targets of one module under libFuzzer, each in a process of its own: portway is instrumented once for all of them."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

import atheris

from tests.fuzz.base import Target
from tests.fuzz.mutating import mutated

INPUT_MAX_BYTES = 8192
MEMORY_MAX_MB = 2048
HANGS_S = 300  # of a machine that may have much else to do
SLOW_S = 3.0  # of this thread's own time, instrumented


def main(module: str, findings: Path, seconds: int, names: list[str]) -> int:
    """Fuzz each target for so long; 1 where libFuzzer did not come to its end."""
    with atheris.instrument_imports(include=["portway"], enable_loader_override=False):
        targets: tuple[Target, ...] = importlib.import_module(module).TARGETS
    ended_well = True
    for target in targets:
        if target.name not in names:
            continue
        child = os.fork()
        if not child:
            _fuzz(target, findings, seconds)
        _, status = os.waitpid(child, 0)
        ended_well &= status == 0
        log = findings / f"{target.name}.log"
        told = "" if status == 0 else f"; it did not end well, see {log}"
        print(f"{target.name}: {_account(log)}{told}", flush=True)
    return 0 if ended_well else 1


def _fuzz(target: Target, findings: Path, seconds: int) -> None:
    """Never comes back."""
    with (findings / f"{target.name}.log").open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    work = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=findings))
    for nth, seed in enumerate(target.seeds()):
        (work / f"seed-{nth}").write_bytes(seed[:INPUT_MAX_BYTES])
    options = [
        f"-max_total_time={seconds}", f"-max_len={INPUT_MAX_BYTES}", f"-rss_limit_mb={MEMORY_MAX_MB}",
        f"-timeout={HANGS_S}", f"-artifact_prefix={findings}/{target.name}-", "-print_final_stats=1",
    ]  # fmt: skip
    if target.words:
        words = findings / f"{target.name}.words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        options.append(f"-dict={words}")
    custom = {"custom_mutator": _mutate} if target.is_json else {}
    atheris.Setup([sys.argv[0], *options, str(work)], _watched(target, findings), **custom)
    atheris.Fuzz()


def _watched(target: Target, findings: Path):  # noqa: ANN202
    """The check; each new mistake becomes a file, and the fuzzing goes on."""
    known: set[str] = set()

    def note(kind: str, told: str, data: bytes) -> None:
        if kind in known:
            return
        known.add(kind)
        file = findings / f"{target.name}-{hashlib.sha256(kind.encode()).hexdigest()[:8]}"
        file.with_suffix(".input").write_bytes(data)
        file.with_suffix(".txt").write_text(f"{kind}\n{told}\n{data[:2000]!r}\n")

    def once(data: bytes) -> None:
        began_s = time.thread_time()
        try:
            target.check(data)
        except Exception as error:
            note(_kind(error), traceback.format_exc(), data)
        if (took_s := time.thread_time() - began_s) > SLOW_S:
            note(f"slow at {len(data) // 1000} kB", f"It took {took_s:.1f} s.", data)

    return once


def _mutate(data: bytes, size_max: int, seed: int) -> bytes:
    random = Random(seed)
    made = mutated(data, random) if random.random() < 0.8 else None
    return atheris.Mutate(data, size_max) if made is None or len(made) > size_max else made


def _kind(error: BaseException) -> str:
    """Errors from one line of portway are one finding."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/portway/" in frame.filename]
    if not ours:
        return str(error)[-200:]
    return f"{type(error).__name__} in {ours[-1].filename.rpartition('/portway/')[2]}:{ours[-1].lineno}"


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


def _account(log: Path) -> str:
    """What libFuzzer says of its work: inputs tried, the code they reached, those kept."""
    lines = log.read_text(errors="replace").splitlines()
    tried = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "?")
    reached = next((line.split("\t", 1)[-1] for line in reversed(lines) if "cov:" in line), "")
    return f"{tried} inputs, {' '.join(reached.split()[1:7])}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
