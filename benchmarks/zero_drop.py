"""The main job at full size: redeploys, scaling and certificate swaps under steady load, on real Docker and HAProxy.

    .venv/bin/python benchmarks/zero_drop.py            20 redeploys, 10 scales 1->20->1, 5 certificate swaps
    .venv/bin/python benchmarks/zero_drop.py --quick    a tenth of that

Prints how many requests failed and how often the balancer was reloaded; exits 1 unless both are 0.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

from prober import Prober  # noqa: E402
from tests.e2e.conftest import DOCKERFILE, IMAGE  # noqa: E402
from tests.e2e.machine import Machine, free_port  # noqa: E402
from tests.e2e.test_story import WEB  # noqa: E402


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rate", type=float, default=200.0)
    arguments = parser.parse_args()
    sizes = (2, 1, 1, 6) if arguments.quick else (20, 10, 5, 20)
    with tempfile.TemporaryDirectory() as directory:
        machine = Machine(
            home=Path(tempfile.mkdtemp(prefix="pw")), directory=Path(directory) / "shop"
        )
        make_image(Path(directory) / "image")
        try:
            return measure(machine, arguments.rate, *sizes)
        finally:
            machine.close()


def make_image(context: Path) -> None:
    context.mkdir()
    shutil.copy("/bin/busybox", context / "busybox")
    (context / "Dockerfile").write_text(DOCKERFILE)
    subprocess.run(["docker", "build", "-q", "-t", IMAGE, str(context)], check=True)


def measure(
    machine: Machine, rate: float, redeploys: int, scales: int, swaps: int, peak: int
) -> int:
    plain, secure = free_port(), free_port()
    template = WEB.replace("      - {listener}:80", f"      - {{listener}}:80\n      - {secure}:80")

    def deploy(text: str) -> None:
        machine.manifest(template.format(image=IMAGE, listener=plain, text=text, count=2))
        machine.ok("deploy")

    deploy("v0")
    machine.ok("ssl", "create", f"web:{secure}", "--self-signed")
    time.sleep(1)
    reloads = machine.json("server", "status")["balancer_reloads"]
    with (
        Prober(f"http://127.0.0.1:{plain}/", rate_per_s=rate) as http,
        Prober(f"https://127.0.0.1:{secure}/", rate_per_s=rate / 10) as https,
    ):
        timed("redeploys", [lambda nth=nth: deploy(f"v{nth + 1}") for nth in range(redeploys)])
        steps = [peak, 1] * scales
        timed("scales", [lambda n=n: machine.ok("scale", f"web={n}", timeout_s=300) for n in steps])
        swap = lambda: machine.ok("ssl", "update", f"web:{secure}", "--self-signed")  # noqa: E731
        timed("certificate swaps", [swap] * swaps)
    reloaded = machine.json("server", "status")["balancer_reloads"] - reloads
    print(f"http:    {http.result}")
    print(f"https:   {https.result}")
    print(f"reloads: {reloaded}")
    for failure in [*http.result.failures, *https.result.failures][:10]:
        print(f"  {failure}")
    return 1 if http.result.failures or https.result.failures or reloaded else 0


def timed(what: str, steps: list) -> None:  # type: ignore[type-arg]
    took: list[float] = []
    for step in steps:
        began = time.monotonic()
        step()
        took.append(time.monotonic() - began)
    middle = sorted(took)[len(took) // 2]
    print(f"{what}: {len(steps)}, median {middle:.2f} s, longest {max(took):.2f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
