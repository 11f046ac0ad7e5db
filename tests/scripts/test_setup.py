"""What scripts/setup.sh says where it cannot do its work, and that it does no more than is missing.

The programs it meets are fakes in a directory that is the whole PATH, so that no root and no other machine is needed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUP = ROOT / "scripts" / "setup.sh"
REAL = "bash cat chown cut dirname env grep head id ldd ln mkdir mktemp nohup readlink rm seq setsid sha256sum sleep stat tail uname"
ALL = "haproxy dockerd docker iptables postgres openssl curl git"
PYTHON = """case "$*" in
*sys.version_info*) exit {old} ;;
*ensurepip*) exit {no_venv} ;;
*platform*) echo {version} ;;
*) echo "${{0##*/}} $*" >>"$CALLS" ;;
esac
case "$*" in
*"-m venv"*) mkdir -p "${{@: -1}}/bin"; for p in python uv portway; do ln -sf "{bin}/python3" "${{@: -1}}/bin/$p"; done ;;
esac"""


class Place:
    """A machine made of fakes."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.venv = directory / ".venv"
        self.calls = directory / "calls"
        self.bin.mkdir()
        self.calls.touch()
        for name in REAL.split():
            if found := shutil.which(name):
                (self.bin / name).symlink_to(found)
        self.has("apt-get", 'echo "apt-get $*" >>"$CALLS"')
        self.is_user(1000)
        self.has_python()

    def has(self, names: str, script: str = ":") -> None:
        for name in names.split():
            path = self.bin / name
            path.unlink(missing_ok=True)
            path.write_text(f"#!/bin/bash\n{script}\n")
            path.chmod(0o755)

    def lacks(self, names: str) -> None:
        for name in names.split():
            (self.bin / name).unlink()

    def has_python(
        self, version: str = "3.11.2", *, name: str = "python3", venv: bool = True
    ) -> None:
        old = tuple(map(int, version.split("."))) < (3, 11)
        self.has(
            name, PYTHON.format(version=version, old=int(old), no_venv=int(not venv), bin=self.bin)
        )

    def is_user(self, uid: int) -> None:
        self.has("id", f'[ "$1" = -u ] && echo {uid} || echo somebody')

    def is_system(self, name: str) -> None:
        self.has("uname", f"echo {name}")

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines()

    def run(self, purpose: str, script: str = "main") -> tuple[int, str]:
        """The exit code and all that is said by `script`, among the functions of setup.sh."""
        here = f"""source {SETUP} {purpose}
        PATH={self.bin} venv={self.venv} stamp={self.venv}/stamp daemon_log={self.bin.parent}/daemon.log
        find_busybox() {{ [ ! -e {self.bin}/busybox ] || echo {self.bin}/busybox; }}
        find_postgres() {{ is_program postgres; }}
        systemctl() {{ :; }}
        {script}"""
        done = subprocess.run(
            ["bash", "-c", here],
            env={"CALLS": str(self.calls), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_macos_is_told_where_a_linux_machine_comes_from(place: Place):
    place.is_system("Darwin")
    assert place.run("docker") == (
        1,
        "ERROR: portway runs on Linux, and this is macOS: what is missing is a Linux machine.\n"
        "  Get one:  brew install lima && limactl start --name=portway template://debian-12\n"
        "  Go in:    limactl shell portway\n"
        "  There, clone this repository into a directory of that machine's own, and run make with sudo.\n",
    )


def test_the_script_itself_refuses_as_its_functions_do(place: Place):
    place.is_system("Darwin")
    path = f"{place.bin}:{os.environ['PATH']}"
    done = subprocess.run(
        [SETUP, "test"], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ERROR: portway runs on Linux, and this is macOS: ")


def test_another_system_is_named(place: Place):
    place.is_system("FreeBSD")
    assert place.run("process") == (
        1,
        "ERROR: portway runs on Linux, and this is FreeBSD: what is missing is a Linux machine.\n",
    )


def test_a_purpose_nobody_knows_is_refused(place: Place):
    assert place.run("dokcer") == (
        1,
        'ERROR: There is nothing to set up called "dokcer".\n  There are docker, process, test and python.\n',
    )


def test_a_user_who_may_not_install_gets_the_command(place: Place):
    assert place.run("docker") == (
        1,
        "ERROR: Missing here: haproxy dockerd docker iptables busybox-static. Only root can install.\n"
        "  sudo apt-get update && sudo apt-get install -y --no-install-recommends"
        " haproxy docker.io iptables busybox-static\n",
    )
    assert place.called() == []


def test_the_processes_need_less(place: Place):
    place.has("haproxy")
    assert place.run("process", "find_python; install_packages") == (0, "")


def test_the_tests_need_more(place: Place):
    place.has("haproxy")
    packages = "docker.io iptables busybox-static postgresql openssl curl git"
    assert place.run("test")[1].endswith(f"--no-install-recommends {packages}\n")


def test_only_what_is_missing_is_named(place: Place):
    place.has("dockerd docker iptables busybox")
    assert place.run("docker")[1].startswith("ERROR: Missing here: haproxy. Only root")


def test_where_there_is_no_python_it_is_installed_too(place: Place):
    place.lacks("python3")
    assert place.run("python")[1] == (
        "ERROR: Missing here: python3-venv. Only root can install.\n"
        "  sudo apt-get update && sudo apt-get install -y --no-install-recommends python3-venv\n"
    )


def test_a_python_that_makes_no_environments_gets_what_it_lacks(place: Place):
    place.has_python(venv=False)
    assert place.run("python")[1].endswith("--no-install-recommends python3-venv\n")


def test_a_newer_python_beside_an_old_one_is_taken(place: Place):
    place.has_python("3.9.2")
    place.has_python("3.12.1", name="python3.12", venv=False)
    assert place.run("python")[1].endswith("--no-install-recommends python3.12-venv\n")


def test_a_python_too_old_is_refused_before_anything_is_installed(place: Place):
    place.is_user(0)
    place.has_python("3.10.12")
    assert place.run("docker") == (
        1,
        "ERROR: portway needs Python 3.11 or newer, and python3 is 3.10.12.\n"
        "  Debian 12, Ubuntu 24.04 and newer have it:  apt-get install -y python3-venv\n"
        "  Ubuntu 22.04 has it beside its own:  apt-get install -y python3.11-venv\n",
    )
    assert place.called() == []


def test_a_python_too_old_on_macos_is_told_of_brew(place: Place):
    place.is_system("Darwin")
    place.has_python("3.9.6")
    assert place.run("python") == (
        1,
        "ERROR: portway needs Python 3.11 or newer, and python3 is 3.9.6.\n"
        "  Get it:  brew install python@3.13\n",
    )


@pytest.mark.parametrize(
    ("manager", "how"),
    [
        ("dnf", "As root:  dnf install -y haproxy moby-engine docker-cli iptables-nft busybox"),
        ("zypper", "As root:  zypper install -y haproxy docker iptables busybox-static"),
        ("pacman", "As root:  pacman -S --needed haproxy docker iptables busybox"),
        ("apk", "As root:  apk add haproxy docker iptables busybox-static"),
        (
            "",
            "Install, with whatever this machine has, what Debian calls:"
            "  haproxy docker.io iptables busybox-static",
        ),
    ],
)
def test_without_apt_the_machines_own_command_is_named(place: Place, manager: str, how: str):
    place.lacks("apt-get")
    place.has(manager)
    assert place.run("docker") == (
        1,
        "ERROR: Missing here: haproxy dockerd docker iptables busybox-static."
        f" There is no apt-get to install with.\n  {how}\n",
    )


def test_root_installs_what_is_missing_and_no_more(place: Place):
    place.is_user(0)
    place.has("dockerd docker busybox")
    installs = 'echo "apt-get $*" >>"$CALLS"; [ "$1" = update ] || for p in haproxy iptables; do ln -s /bin/true "${0%/*}/$p"; done'
    place.has("apt-get", installs)
    assert place.run("docker", "find_python; install_packages") == (
        0,
        "Installing haproxy iptables ...\n",
    )
    update, install = place.called()
    assert update == "apt-get update -qq"
    assert install.startswith("apt-get install -y -qq --no-install-recommends -o ")
    assert install.endswith(" haproxy iptables")


def test_docker_in_two_packages_is_installed_from_both(place: Place):
    place.is_user(0)
    place.has("haproxy iptables busybox")
    place.has(
        "apt-get",
        'case "$*" in *docker.io) ln -s /bin/true "${0%/*}/dockerd" ;;'
        ' *docker-cli) ln -s /bin/true "${0%/*}/docker" ;; esac',
    )
    code, said = place.run("docker", "find_python; install_packages")
    assert (code, said) == (0, "Installing docker.io ...\n")


def test_what_apt_said_is_shown_when_it_fails(place: Place):
    place.is_user(0)
    place.has(ALL.replace("haproxy", ""))
    said = "E: Unable to locate package haproxy"
    place.has("apt-get", f'[ "$1" = update ] || echo "{said}"; exit 100')
    assert place.run("process") == (
        1,
        "Installing haproxy ...\n"
        "E: Unable to locate package haproxy\n"
        "ERROR: apt-get could not install haproxy.\n"
        "  The last lines of what it said are above.\n"
        "  By hand:  apt-get update && apt-get install -y --no-install-recommends haproxy\n",
    )


def test_a_package_that_brings_nothing_is_not_believed(place: Place):
    place.is_user(0)
    assert place.run("process")[1].endswith(
        "ERROR: haproxy still missing, although haproxy was installed.\n"
    )


def test_nothing_missing_means_nothing_is_installed(place: Place):
    place.is_user(0)
    place.has(f"{ALL} busybox")
    assert place.run("test", "find_python; install_packages") == (0, "")
    assert place.called() == []


NO_DOCKER = "ask_docker() { return 1; }; seq() { echo 1 2; }; start_docker"


def test_a_daemon_that_cannot_start_is_shown_with_its_last_words(place: Place):
    place.is_user(0)
    place.has(
        "dockerd",
        "echo level=info msg=Starting; echo 'failed to start daemon: no space left on device'; exit 1",
    )
    code, said = place.run(
        "docker", f"start_docker_service() {{ start_docker_process; }}; {NO_DOCKER}"
    )
    assert (code, said) == (
        1,
        "Starting the Docker daemon ...\n"
        "failed to start daemon: no space left on device\n"
        "ERROR: The Docker daemon could not be started.\n"
        f"  The last lines of {place.bin.parent}/daemon.log are above.\n"
        "  Without Docker:  make demo ENGINE=process\n",
    )


def test_a_user_who_cannot_start_the_daemon_gets_the_command(place: Place):
    assert place.run("docker", NO_DOCKER) == (
        1,
        "ERROR: The Docker daemon does not answer, and only root can start it.\n"
        "  With systemd:  sudo systemctl start docker\n"
        "  Without:       sudo scripts/setup.sh docker\n",
    )


def test_a_user_the_daemon_does_not_let_in_gets_the_command(place: Place):
    assert place.run("docker", "ask_docker() { return 2; }; start_docker") == (
        1,
        "ERROR: The Docker daemon is there, and somebody may not speak to it.\n"
        "  Let them:  sudo usermod -aG docker somebody, then log in anew\n"
        "  Or run make as root.\n",
    )


def test_a_daemon_elsewhere_is_never_replaced_by_one_here(place: Place):
    place.is_user(0)
    code, said = place.run("docker", f"export DOCKER_HOST=unix:///nowhere.sock; {NO_DOCKER}")
    assert code == 1
    assert said.startswith("ERROR: No Docker daemon answers at DOCKER_HOST=unix:///nowhere.sock.\n")


def ask(place: Place, where: str) -> int:
    (place.venv / "bin").mkdir(parents=True, exist_ok=True)
    python = place.venv / "bin" / "python"
    if not python.exists():
        python.symlink_to(sys.executable)
    return place.run("docker", f"DOCKER_HOST={where} ask_docker")[0]


@pytest.mark.parametrize(("answer", "code"), [(b"HTTP/1.0 200 OK", 0), (b"HTTP/1.0 500 No", 1)])
def test_a_daemon_is_there_when_it_answers_well(place: Place, answer: bytes, code: int):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place.bin / "docker.sock"))
        server.listen()

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(answer + b"\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        assert ask(place, f"unix://{place.bin}/docker.sock") == code
        thread.join()


def test_a_daemon_without_a_socket_is_not_there(place: Place):
    assert ask(place, f"unix://{place.bin}/docker.sock") == 1


def make_environment(place: Place) -> None:
    (place.venv / "bin").mkdir(parents=True)
    for name in ("python", "uv", "portway"):
        (place.venv / "bin" / name).symlink_to(place.bin / "python3")
    assert place.run("python", "environment_state >$stamp") == (0, "")


def test_an_environment_of_these_locks_is_left_alone(place: Place):
    make_environment(place)
    assert place.run("python") == (0, "")
    assert place.called() == []


@pytest.mark.parametrize("change", ["echo /elsewhere/.venv >>$stamp", "rm $venv/bin/python"])
def test_an_environment_that_was_moved_or_lost_its_python_is_made_anew(place: Place, change: str):
    make_environment(place)
    said = f"Setting up the Python environment in {place.venv} ...\n"
    assert place.run("python", f"{change}; main") == (0, said)
    assert place.called()[0] == f"python3 -m venv --clear {place.venv}"
    assert place.run("python") == (0, "")


def test_a_new_lock_does_not_throw_the_environment_away(place: Place):
    make_environment(place)
    place.run("python", 'place=$(environment_place); printf "%s\\n" old "$place" >$stamp; main')
    installs = [call for call in place.called() if "install" in call or "sync" in call]
    assert [call.partition(" --")[0] for call in installs] == [
        "python -m pip install",
        "uv pip sync",
        "uv pip install",
    ]
    assert all("--require-hashes" in call or "--editable ." in call for call in installs)
    assert not [call for call in place.called() if "venv --clear" in call]
    assert place.run("python") == (0, "")
