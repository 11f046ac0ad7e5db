"""How long a command takes to start, against an interpreter that does nothing.

.venv/bin/python benchmarks/cli.py [--quick]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from measure import Figure, arguments, in_turns, report, seconds
from rig import portway

PORTWAY = str(Path(sys.executable).with_name("portway"))


def main() -> int:
    """Run it and print the table."""
    options = arguments(__doc__)
    runs = 5 if options.quick else 20
    figures: list[Figure] = []
    with portway("process") as machine:
        for words, aim in ((["--help"], 0.15), (["ps"], 0.3)):
            mine, bare = in_turns(
                lambda words=words: took([PORTWAY, *words], machine.environment()),
                lambda: took([sys.executable, "-c", ""], machine.environment()),
                runs,
            )
            median_s = statistics.median(mine)
            rival = f"python -c '': {seconds(statistics.median(bare))}"
            figures.append(
                Figure(
                    name=f"portway {words[0]}",
                    ours=seconds(median_s),
                    value=median_s,
                    rival=rival,
                    aim=aim,
                    unit="s",
                )  # fmt: skip
            )
    return report(figures, options)


def took(argv: Sequence[str], environment: dict[str, str]) -> float:
    """Seconds of one run that must succeed."""
    began = time.perf_counter()
    subprocess.run(argv, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
