#!/usr/bin/env bash
# Sets up what portway needs here, and only what is missing. Run by make; safe to run again.
#   setup.sh docker    to run containers         setup.sh process   to run plain commands
#   setup.sh test      for the whole test suite  setup.sh python    only the Python environment
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin:/sbin # Debian keeps haproxy and dockerd where not every user looks

purpose=${1:-docker}
venv=.venv
stamp=$venv/.portway-ready
daemon_log=/var/log/portway-dockerd.log

main() {
    check_platform
    find_python
    check_python_is_not_too_old
    install_packages
    install_python
    case $purpose in
        docker | test)
            start_docker
            copy_busybox
            ;;
    esac
}

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "ERROR: $1"
    shift
    for line in "$@"; do say "  $line"; done
    exit 1
}

needed_for() {
    case $1 in
        python) echo python3-venv ;;
        process) echo python3-venv haproxy ;;
        docker) echo python3-venv haproxy dockerd docker iptables busybox-static ;;
        test) echo python3-venv haproxy dockerd docker iptables busybox-static postgres openssl curl git ;;
        *) fail "There is nothing to set up called \"$1\"." "There are docker, process, test and python." ;;
    esac
}

is_here() {
    case $1 in
        python3-venv) [ -x $venv/bin/portway ] || { [ -n "$python" ] && $python -c 'import ensurepip, venv' 2>/dev/null; } ;;
        busybox-static) [ -n "$(find_busybox)" ] ;;
        postgres) find_postgres ;;
        *) is_program "$1" ;;
    esac
}

is_program() { command -v "$1" >/dev/null 2>&1; }

# What the program is packaged as, on Debian and Ubuntu or for another package manager.
package_of() {
    case ${2:-apt-get}/$1 in
        apt-get/python3-venv) echo "${python:-python3}-venv" ;;
        apt-get/dockerd) echo docker.io ;;
        apt-get/docker) if is_here dockerd; then echo docker-cli; else echo docker.io; fi ;; # apart since Debian 13
        apt-get/postgres) echo postgresql ;;
        apt-get/*) echo "$1" ;;
        pacman/python3-venv) echo python ;;
        */python3-venv) echo python3 ;;
        dnf/dockerd) echo moby-engine ;;
        dnf/docker) echo docker-cli ;;
        */dockerd | */docker) echo docker ;;
        dnf/iptables) echo iptables-nft ;;
        dnf/busybox-static | pacman/busybox-static) echo busybox ;;
        dnf/postgres | zypper/postgres) echo postgresql-server ;;
        */postgres) echo postgresql ;;
        */*) echo "$1" ;;
    esac
}

# Sets `missing` to the programs, `packages` to what brings them.
find_missing() {
    local manager=${1:-apt-get} program package
    missing=() packages=()
    for program in $(needed_for "$purpose"); do
        is_here "$program" && continue
        missing+=("$program")
        package=$(package_of "$program" "$manager")
        [[ " ${packages[*]-} " == *" $package "* ]] || packages+=("$package")
    done
}

check_platform() {
    needed_for "$purpose" >/dev/null
    local system
    system=$(uname -s)
    [ "$system" != Linux ] && [ "$purpose" != python ] || return 0
    [ "$system" = Darwin ] || fail "portway runs on Linux, and this is $system: what is missing is a Linux machine."
    fail "portway runs on Linux, and this is macOS: what is missing is a Linux machine." \
        "Get one:  brew install lima && limactl start --name=portway template://debian-12" \
        "Go in:    limactl shell portway" \
        "There, clone this repository into a directory of that machine's own, and run make with sudo."
}

# Sets `python` to the one to make the environment with: the usual one, else the newest that will do, else nothing.
find_python() {
    python=
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if is_program $name && $name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$name
            return
        fi
    done
}

check_python_is_not_too_old() {
    [ -z "$python" ] && is_program python3 || return 0
    local found
    found=$(python3 -c 'import platform; print(platform.python_version())' 2>/dev/null) || found="one that does not start"
    case $(uname -s) in
        Darwin) set -- "Get it:  brew install python@3.13" ;;
        *) set -- "Debian 12, Ubuntu 24.04 and newer have it:  apt-get install -y python3-venv" \
            "Ubuntu 22.04 has it beside its own:  apt-get install -y python3.11-venv" ;;
    esac
    fail "portway needs Python 3.11 or newer, and python3 is $found." "$@"
}

install_packages() {
    find_missing
    [ ${#missing[@]} -gt 0 ] || return 0
    refuse_unless_apt_can_install
    say "Installing ${packages[*]} ..."
    apt_install "${packages[@]}"
    find_python
    check_python_is_not_too_old
    find_missing # where one package has become two, the second has its turn now
    [ ${#missing[@]} -eq 0 ] || apt_install "${packages[@]}"
    find_missing
    [ ${#missing[@]} -eq 0 ] || fail "${missing[*]} still missing, although ${packages[*]} was installed."
}

refuse_unless_apt_can_install() {
    local manager line
    if ! is_program apt-get; then
        for manager in dnf zypper pacman apk brew ""; do is_program "${manager:-true}" && break; done
        find_missing "${manager:-apt-get}"
        case $manager in
            dnf | zypper) line="As root:  $manager install -y ${packages[*]}" ;;
            pacman) line="As root:  pacman -S --needed ${packages[*]}" ;;
            apk) line="As root:  apk add ${packages[*]}" ;;
            brew) line="Get it:  brew install ${packages[*]}" ;;
            *) line="Install, with whatever this machine has, what Debian calls:  ${packages[*]}" ;;
        esac
        fail "Missing here: ${missing[*]}. There is no apt-get to install with." "$line"
    fi
    [ "$(id -u)" = 0 ] || fail "Missing here: ${missing[*]}. Only root can install." \
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}"
}

apt_install() {
    local log with_haproxy
    is_here haproxy && with_haproxy= || with_haproxy=yes
    keep_postgresql_from_starting
    log=$(mktemp)
    # Lists that cannot be renewed may still do; on a machine that has just booted, apt is often busy with itself.
    if ! {
        apt-get update -qq || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold "$@"
    } >"$log" 2>&1 </dev/null; then
        tail -n 15 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install $*." "The last lines of what it said are above." \
            "By hand:  apt-get update && apt-get install -y --no-install-recommends $*"
    fi
    rm -f "$log"
    # portway runs an HAProxy of its own; the packaged service would only idle.
    [ -z "$with_haproxy" ] || [ ! -d /run/systemd/system ] || systemctl disable --quiet --now haproxy || true
}

keep_postgresql_from_starting() {
    [[ " ${packages[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ] || return 0
    mkdir -p /etc/postgresql-common
    printf '%s\n' "# portway's tests need the programs and start servers of their own; remove this to have one made." \
        'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
}

# What the environment was made from and where: one that was moved, or lost its Python, does not work any more.
environment_state() {
    cat requirements.lock requirements-uv.lock pyproject.toml | sha256sum | cut -d' ' -f1
    environment_place
}

environment_place() { echo "$PWD $(readlink -f $venv/bin/python || true)"; }

install_python() {
    [ -x $venv/bin/portway ] && [ "$(cat $stamp 2>/dev/null)" = "$(environment_state)" ] && return
    say "Setting up the Python environment in $venv ..."
    make_environment
    # uv does not read pip's configuration: where PyPI is reached through another index, it is told.
    local index=${PIP_INDEX_URL:-$($venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}
    [ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
    $venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
        -r requirements-uv.lock || fail "uv could not be installed from PyPI." "What pip said is above."
    $venv/bin/uv pip sync --quiet --compile-bytecode --python $venv/bin/python --require-hashes \
        requirements.lock requirements-uv.lock ||
        fail "The Python packages of requirements.lock could not be installed." "What uv said is above."
    $venv/bin/uv pip install --quiet --python $venv/bin/python --no-deps --no-build-isolation --editable . ||
        fail "portway itself could not be installed into $venv." "What uv said is above."
    # Users who may not write here would compile it at every start.
    $venv/bin/python -m compileall -q src || true
    environment_state >$stamp
    # Made by root in somebody else's clone, it is still theirs to use and to remove.
    [ "$(id -u)" != 0 ] || [ "$(stat -c %u .)" = 0 ] || chown -R --reference=. $venv
}

make_environment() {
    if [ -e $stamp ] && [ "$(tail -n +2 $stamp)" != "$(environment_place)" ]; then rm -rf $venv; fi
    $venv/bin/python -c 'import pip' 2>/dev/null || $python -m venv --clear $venv ||
        fail "The Python environment could not be made in $venv." "What Python said is above."
}

# 0: it answers; 1: it does not; 2: it is there, and this user may not speak to it.
ask_docker() {
    $venv/bin/python - "${DOCKER_HOST:-unix:///var/run/docker.sock}" <<'PY'
import socket, sys
where = sys.argv[1]
if not where.startswith("unix://"):
    sys.exit(0)  # another machine's daemon: portway itself says when it does not answer
try:
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(where.removeprefix("unix://"))
        s.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        sys.exit(0 if b" 200 " in s.recv(64) else 1)
except PermissionError:
    sys.exit(2)
except OSError:
    sys.exit(1)
PY
}

start_docker() {
    local status=0
    ask_docker || status=$?
    [ $status != 0 ] || return 0
    [ $status != 2 ] || fail "The Docker daemon is there, and $(id -un) may not speak to it." \
        "Let them:  sudo usermod -aG docker $(id -un), then log in anew" "Or run make as root."
    [ -z "${DOCKER_HOST:-}" ] || fail "No Docker daemon answers at DOCKER_HOST=$DOCKER_HOST." \
        "Start it, or unset DOCKER_HOST to use this machine's own."
    [ "$(id -u)" = 0 ] || fail "The Docker daemon does not answer, and only root can start it." \
        "With systemd:  sudo systemctl start docker" "Without:       sudo scripts/setup.sh docker"
    say "Starting the Docker daemon ..."
    if [ -d /run/systemd/system ]; then start_docker_service; else start_docker_process; fi
}

start_docker_service() {
    systemctl start docker >&2 || fail "systemd could not start the Docker daemon." \
        "Why:  journalctl -u docker -n 20" "$(without_docker)"
    wait_for_docker true || fail "systemd started the Docker daemon, and it does not answer." \
        "Why:  journalctl -u docker -n 20" "$(without_docker)"
}

start_docker_process() {
    local pid_file=/var/run/docker.pid pid
    # A daemon that was killed leaves its number to whoever comes next, and the new one believes it.
    if [ -e $pid_file ] && [ "$(cat "/proc/$(cat $pid_file)/comm" 2>/dev/null)" != dockerd ]; then rm -f $pid_file; fi
    setsid nohup dockerd >$daemon_log 2>&1 </dev/null &
    pid=$!
    wait_for_docker kill -0 $pid && return
    grep -v level=info $daemon_log | tail -n 5 >&2 || true
    fail "The Docker daemon could not be started." "The last lines of $daemon_log are above." "$(without_docker)"
}

# Wait until it answers, as long as the given command succeeds.
wait_for_docker() {
    for _ in $(seq 300); do
        ask_docker && return
        "$@" 2>/dev/null || return 1
        sleep 0.2
    done
    return 1
}

without_docker() {
    case $purpose in
        docker) echo "Without Docker:  make demo ENGINE=process" ;;
        test) echo "Without Docker:  make unit, which runs the tests that need none" ;;
    esac
}

find_postgres() { is_program postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }

find_busybox() {
    local path
    for path in /bin/busybox /usr/sbin/busybox /bin/busybox.static; do
        if [ -x $path ] && ! ldd $path >/dev/null 2>&1; then
            echo $path
            return
        fi
    done
}

# The images of the examples are made of one static program, so that no registry is needed.
copy_busybox() {
    local dockerfile
    for dockerfile in examples/*/Dockerfile; do
        cp -u "$(find_busybox)" "$(dirname "$dockerfile")/busybox"
    done
}

[ "${BASH_SOURCE[0]}" != "$0" ] || main
