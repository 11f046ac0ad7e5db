"""The newcomer's story, told as it happens: deploy, look, redeploy and scale under load, count what failed.

    scripts/demo.py --engine docker      (or process)
    scripts/demo.py --remove             take away what it left running

Every line that begins with "$" is a command that anybody can type. Run by make; needs nothing but this repository.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
PORTWAY = BIN / "portway"
STACKS = {"docker": "httpd", "process": "process"}
LISTENER, LISTENER_LAST = 8000, 8099
RATE_PER_S = 200

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober, Result  # noqa: E402


class DemoError(Exception):
    """Why the story cannot be told, as sentences."""


def main() -> int:
    """Tell the story, or take it away; 1 when a request failed or it could not be told."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", choices=tuple(STACKS), default="docker")
    parser.add_argument("--remove", action="store_true", help="remove what the demo left running")
    arguments = parser.parse_args()
    try:
        return remove() if arguments.remove else tell(arguments.engine)
    except DemoError as error:
        print(f"\nERROR: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. `make clean-demo` removes what runs.", file=sys.stderr)
        return 130


def tell(engine: str) -> int:
    """The whole story."""
    server = check_server(engine)
    stack = STACKS[engine]
    check_stack_is_ours(stack)
    listener = listener_of(stack) or free_listener()
    story = Story(stack, listener, starting_variables(engine, running=server is not None))
    story.deploy_and_look()
    result = story.change_under_load()
    story.conclude(result)
    return 1 if result.failures or not result.total else 0


class Story:
    """One stack, its listener, and the variables its commands need."""

    def __init__(self, stack: str, listener: int, starting: dict[str, str]) -> None:
        self.stack = stack
        self.url = f"http://127.0.0.1:{listener}/"
        self.starting = starting  # only the command that starts the server needs these
        self.moved = {} if listener == LISTENER else {"HTTP_PORT": str(listener)}

    def deploy_and_look(self) -> None:
        """A first deploy, the port map, one request."""
        say(
            f"# A compose file becomes a running, balanced stack: examples/{self.stack}/docker-compose.yml"
        )
        show_command(f"cd examples/{self.stack}")
        self.run("deploy")
        say("# Nobody chose those host ports; this is what has become of them:")
        self.run("map")
        show_command(f"curl {self.url}")
        print(fetch(self.url), flush=True)

    def change_under_load(self) -> Result:
        """Another release, more instances, fewer instances, all of it while somebody asks."""
        say(f"# From here on, {RATE_PER_S} requests a second ask it (examples/prober.py).")
        with Prober(self.url, rate_per_s=RATE_PER_S) as prober:
            self.run("deploy", GREETING="Hello from another release")
            self.run("scale", "web=4")
            self.run("scale", "web=2")
        return prober.result

    def conclude(self, result: Result) -> None:
        """The receipt, and what to do next."""
        say("# The receipt: a new release, then 2 -> 4 -> 2 instances, seen from outside.")
        print(result)
        for failure in result.failures[:10]:
            print(f"  {failure}")
        moved = "".join(f"{assignment(pair)} " for pair in self.moved.items())
        print(
            f"""
It goes on running. To see it:
  export PATH={BIN}:$PATH
  cd {ROOT}/examples/{self.stack}
  curl {self.url}
  portway ps
  portway map
  portway logs
  {moved}GREETING=Hi portway deploy
To remove it: make clean-demo"""
        )

    def run(self, *words: str, **variables: str) -> None:
        """Show the command as somebody would type it, run it, and let its output through."""
        given = {**self.starting, **(self.moved if words[0] == "deploy" else {}), **variables}
        self.starting = {}
        show_command(" ".join([*map(assignment, given.items()), "portway", *words]))
        done = subprocess.run(
            [PORTWAY, *words],
            cwd=ROOT / "examples" / self.stack,
            env={**environment(), **given},
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(f"`portway {' '.join(words)}` failed; what it said is above.")


def check_server(engine: str) -> dict[str, Any] | None:
    """The running server; None when there is none. DemoError when it cannot run this story."""
    server = ask("server", "status")
    if not server or not server.get("engine"):
        return None
    if server["engine"] != engine:
        home = server["home"]
        raise DemoError(
            f"a portway server is running (process {server['pid']}, home {home}) with the engine {server['engine']},"
            f" not {engine}.\n"
            f"  Tell the story with that one: make demo ENGINE={server['engine']}\n"
            f"  Or stop it first (what it runs goes on running): {PORTWAY} --home {home} server stop\n"
            f"  Or give the demo a home of its own: PORTWAY_HOME=~/.portway-demo PORTWAY_LISTEN= make demo ENGINE={engine}"
        )
    return server


def check_stack_is_ours(stack: str) -> None:
    """DemoError when a stack of that name runs something else than the example."""
    if is_there(stack) and not is_the_example(stack):
        raise DemoError(
            f"there is a stack {stack} already, and it was not made from examples/{stack}.\n"
            "  Give the demo a home of its own: PORTWAY_HOME=~/.portway-demo PORTWAY_LISTEN= make demo"
        )


def is_there(stack: str) -> bool:
    """Whether the server knows the stack."""
    return any(known["name"] == stack for known in ask("apps") or [])


def is_the_example(stack: str) -> bool:
    """Whether the stack's active release, or its newest, was made from the example's manifest."""
    releases = ask("releases", "-a", stack) or []
    active = [release for release in releases if release["active"]] or releases[:1]
    if not active:
        return True
    release = ask("releases", "info", active[0]["id"], "-a", stack) or {}
    example = (ROOT / "examples" / stack / "docker-compose.yml").read_text()
    return release.get("manifest") == example


def listener_of(stack: str) -> int | None:
    """The listener the stack already has, so that a second demo finds its own again."""
    routes = ask("map", "-a", stack) if is_there(stack) else None
    return next((route["service_port"] for route in routes or [] if route["app"] == "web"), None)


def free_listener() -> int:
    """Port 8000, or the next that is free, with a word on who has 8000."""
    from portway.controller.ports.host_ports import HostPorts
    from portway.core.app import Protocol
    from portway.core.ports import ANY_ADDRESS

    ports = HostPorts()
    for number in range(LISTENER, LISTENER_LAST + 1):
        why = ports.bind_test(Protocol.TCP, ANY_ADDRESS, number)
        if why is None:
            if number != LISTENER:
                say(
                    f"# So the demo listens on {number}: the manifest says ${{HTTP_PORT:-{LISTENER}}}:80."
                )
            return number
        if number == LISTENER:
            say(f"# Port {why.rstrip('.')}.")
    raise DemoError(f"every port from {LISTENER} to {LISTENER_LAST} is taken.")


def starting_variables(engine: str, *, running: bool) -> dict[str, str]:
    """What the first command must say, because it starts the server."""
    if running:
        return {}
    variables = {} if engine == "docker" else {"PORTWAY_ENGINE": engine}
    if "PORTWAY_LISTEN" not in os.environ and not can_listen(8080):
        say(
            "# Port 8080, where a server answers HTTP besides its socket, is taken; this one does without."
        )
        variables["PORTWAY_LISTEN"] = "none"
    return variables


def can_listen(number: int) -> bool:
    """Whether a server could listen there on the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def remove() -> int:
    """Everything the demo left: its stacks, its images, the server if it runs nothing else."""
    removed = False
    if ask("server", "status"):
        for stack in STACKS.values():
            removed |= remove_stack(stack)
        removed |= stop_server()
    removed |= remove_images()
    if not removed:
        print("Nothing of the demo is there.")
    return 0


def remove_stack(stack: str) -> bool:
    """Delete the stack if the example is what it runs; whether it was deleted."""
    if not is_there(stack):
        return False
    if not is_the_example(stack):
        print(f"The stack {stack} was not made from examples/{stack}, so it stays.")
        return False
    show_command(f"portway apps delete {stack} --yes")
    done = subprocess.run(
        [PORTWAY, "apps", "delete", stack, "--yes"], env=environment(), check=False
    )
    if done.returncode != 0:
        raise DemoError(f"the stack {stack} could not be deleted; what portway said is above.")
    return True


def stop_server() -> bool:
    """Stop the server unless it runs something else; whether it was stopped."""
    others = [stack["name"] for stack in ask("apps") or []]
    home = (ask("server", "status") or {}).get("home")
    if others:
        print(f"The server goes on, for it runs {', '.join(others)}.")
        return False
    show_command("portway server stop")
    done = subprocess.run([PORTWAY, "server", "stop"], env=environment(), check=False)
    if done.returncode == 0:
        print(f"What is left is portway's own home, {home}: its journal, its tokens and its log.")
    return done.returncode == 0


def remove_images() -> bool:
    """The images that deploys of examples/httpd made, but those something still runs; whether any went."""
    before = built_images()
    for image in before:
        quietly("docker", "rmi", image)
    gone = len(before) - len(built_images())
    if gone:
        print(f"Removed {gone} image{'s' * (gone != 1)} portway/httpd-web.")
    return gone > 0


def built_images() -> list[str]:
    """The images that deploys of examples/httpd made."""
    shown = "{{.Repository}}:{{.Tag}}"
    return quietly("docker", "images", "--format", shown, "portway/httpd-web").split()


def ask(*words: str) -> Any:
    """What `portway ... --json` answers; None when it has no answer."""
    text = quietly(PORTWAY, *words, "--json")
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def quietly(*words: str | Path) -> str:
    """The output of a command; "" when it fails or is not there."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def environment() -> dict[str, str]:
    """Ours, with haproxy's usual place on the path: a user's own may lack it."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}


def fetch(url: str) -> str:
    """What curl would print."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  (our own listener)
            return answer.read().decode().strip()
    except (OSError, urllib.error.URLError) as error:
        raise DemoError(f"{url} does not answer: {error}") from error


def assignment(pair: tuple[str, str]) -> str:
    """NAME=value as a shell takes it."""
    name, value = pair
    return f'{name}="{value}"' if " " in value else f"{name}={value}"


def show_command(text: str) -> None:
    """A command as it is typed."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"{bold}$ {text}{plain}", flush=True)


def say(text: str) -> None:
    """A remark of the narrator."""
    dim, plain = ("\033[36m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{dim}{text}{plain}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
