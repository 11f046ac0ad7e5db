"""Every benchmark, one table.

    .venv/bin/python benchmarks                       all of it, about a quarter of an hour
    .venv/bin/python benchmarks --quick               a minute's worth; exits 1 when an aim is missed
    .venv/bin/python benchmarks --write docs/benchmarks.md

Each runs in a process of its own, one after another, and hands its figures over as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from measure import Figure, table  # noqa: E402

# What to run, its title, and whether it is part of the minute's worth.
BENCHMARKS: Mapping[str, tuple[str, bool]] = {
    "start": ("Starting containers", True),
    "swap": ("Replacing a release", False),
    "routing": ("From an event to the balancer", False),
    "balancer": ("Requests through the balancer", False),
    "processes": ("Many processes", True),
    "health_checks": ("Health checks", False),
    "control_plane": ("Planner, API and memory", True),
    "port_pool": ("Port leases", True),
    "traffic": ("A controller under steady traffic", False),
    "journal": ("A journal of a million entries", False),
    "aws_wire": ("Requests in AWS's language", True),
    "aws": ("Services of ECS", True),
    "marathon": ("Marathon's API", True),
    "cli": ("Commands", True),
}
MARK = "<!-- figures -->"
PATIENCE_S = 1200


def main() -> int:
    """Run them, print the tables, and say what was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute's worth")
    parser.add_argument("--write", type=Path, help="put the tables into this page")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(BENCHMARKS)}")  # fmt: skip
    options = parser.parse_args()
    wanted = options.names or [n for n, (_, quick) in BENCHMARKS.items() if quick or not options.quick]  # fmt: skip
    sections: list[str] = []
    failed: list[str] = []
    for name in wanted:
        figures, code = run(name, quick=options.quick)
        text = f"## {BENCHMARKS[name][0]}\n\n{table(figures)}\n\n`benchmarks/{name}.py`"
        print(f"\n{text}", flush=True)
        sections.append(text)
        failed += [name] if code else []
    if options.write:
        write(options.write, sections)
    if failed:
        print(f"\nAn aim was missed in: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(name: str, *, quick: bool) -> tuple[list[Figure], int]:
    """One benchmark's figures and exit code; it failed where there are none."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "figures.json"
        words = [sys.executable, str(HERE / f"{name}.py"), "--json", str(path)]
        done = subprocess.run(
            [*words, *(["--quick"] if quick else [])],
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )
        figures = json.loads(path.read_text()) if path.exists() else []
    return [Figure(**figure) for figure in figures], done.returncode


def write(page: Path, sections: Sequence[str]) -> None:
    """Replace what stands between the marks of the page."""
    before, _, after = page.read_text().partition(MARK)
    _, _, after = after.partition(MARK)
    text = "\n\n".join([machine(), *sections])
    page.write_text(f"{before}{MARK}\n\n{text}\n\n{MARK}{after}")


def machine() -> str:
    """What the figures were measured on, and when."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    facts = [
        time.strftime("%Y-%m-%d"),
        f"{os.cpu_count()} cores ({_processor()}), {memory_bytes / 2**30:.0f} GiB",
        f"Linux {platform.release()}, Python {platform.python_version()}",
        *_versions(),
    ]
    return "Measured " + ", ".join(facts) + "."


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def _versions() -> Iterator[str]:
    for name, words in (("Docker", ["dockerd", "--version"]), ("HAProxy", ["haproxy", "-v"])):
        program = shutil.which(words[0], path=f"{os.environ['PATH']}:/usr/sbin")
        if program:
            said = subprocess.run(
                [program, *words[1:]], capture_output=True, text=True, check=False
            )
            found = re.search(r"\d+\.\d+\.\d+", said.stdout)
            yield f"{name} {found[0]}" if found else name


if __name__ == "__main__":
    sys.exit(main())
