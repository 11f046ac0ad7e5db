"""`python -m tests.fuzz [--seconds N] [TARGET ...]`: each target for so long; exit 1 and what was found where something was."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.base import ROOT
from tests.fuzz.targets import MODULES, TARGETS


def main() -> int:
    """Run them one after another."""
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(names))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--findings", type=Path, help="a directory for what is found")
    given = parser.parse_args()
    if unknown := sorted(set(given.targets) - set(names)):
        parser.error(f"There is no target called {', '.join(unknown)}. There are {', '.join(names)}.")  # fmt: skip
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed, so nothing is fuzzed: .venv/bin/pip install atheris")
        return 2
    findings = (given.findings or Path(tempfile.mkdtemp(prefix="portway-fuzz-"))).resolve()
    findings.mkdir(parents=True, exist_ok=True)
    wanted = given.targets or names
    codes = [
        _fuzzed(module.__name__, findings, given.seconds, mine)
        for module in MODULES
        if (mine := [target.name for target in module.TARGETS if target.name in wanted])
    ]
    found = sorted(findings.glob("*.txt"))
    for file in found:
        print(f"\n== {file}\n{file.read_text()}")
    print(f"{len(found)} findings in {len(wanted)} targets; inputs are in {findings}.")
    return 1 if found or any(codes) else 0


def _fuzzed(module: str, findings: Path, seconds: int, names: list[str]) -> int:
    command = [sys.executable, "-m", "tests.fuzz.guided", module, str(findings), str(seconds), *names]  # fmt: skip
    with (findings / f"{module}.log").open("wb") as log:
        return subprocess.run(command, cwd=ROOT, stderr=log, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
