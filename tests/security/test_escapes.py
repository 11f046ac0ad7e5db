"""Manifests that reach for the machine: a caller within the policy gets a refusal, or a container that cannot.

Nothing of the server's disk is read for them but the policy.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from portway.controller.policing import NAME, PolicyFile
from portway.controller.views import ReleaseRequest
from portway.core.app import App
from portway.core.errors import UserError
from portway.core.instance import InstanceIdentity
from portway.core.state import Revision
from portway.engines.base import StartRequest
from portway.engines.docker.command import Settings, container_spec
from tests.controller.inprocess import Portway, running_portway

VIRTUAL_TIME = True

# One line each, below `image: web` of the service web.
KEYS = [
    "privileged: true",
    "privileged: 'yes'",
    "cap_add: [ALL]",
    "cap_add: [SYS_ADMIN]",
    "cap_add: [CAP_SYS_ADMIN]",
    "cap_add: [sys_ptrace]",
    "cap_add: [NET_RAW]",
    "cap_add: [NET_ADMIN, SYS_MODULE]",
    "cap_add: [DAC_READ_SEARCH]",
    "cap_add: [BPF]",
    "pid: host",
    "pid: 'container:other'",
    "ipc: host",
    "ipc: shareable",
    "uts: host",
    "userns_mode: host",
    "cgroup: host",
    "cgroup_parent: /",
    "cgroupns_mode: host",
    "network_mode: host",
    "network_mode: 'container:other'",
    "network_mode: 'service:other'",
    "network_mode: none",
    "devices: ['/dev/sda']",
    "devices: ['/dev/mem:/dev/mem:rwm']",
    "devices: ['/dev/kvm']",
    "device_cgroup_rules: ['a *:* rwm']",
    "gpus: all",
    "security_opt: ['seccomp=unconfined']",
    "security_opt: ['seccomp:unconfined']",
    "security_opt: ['apparmor=unconfined']",
    "security_opt: ['label=disable']",
    "security_opt: ['systempaths=unconfined']",
    "security_opt: ['seccomp=/etc/shadow']",
    "sysctls: {kernel.core_pattern: '|/bin/sh'}",
    "sysctls: ['net.ipv4.ip_forward=1']",
    "volumes: ['/:/host']",
    "volumes: ['//:/host']",
    "volumes: ['/etc:/etc:ro']",
    "volumes: ['./../../etc:/e']",
    "volumes: ['../../../../../../../etc/shadow:/s']",
    "volumes: ['~:/home']",
    "volumes: ['~/.ssh:/keys']",
    "volumes: ['./:/here']",
    "volumes: ['.:/here']",
    "volumes: ['/var/run/docker.sock:/var/run/docker.sock']",
    "volumes: ['/run/docker.sock:/d:ro']",
    "volumes: ['/proc:/p', '/sys:/s']",
    "volumes: ['/dev:/d']",
    "volumes: ['/var/lib/docker:/d']",
    "volumes: ['/var/lib/portway:/p']",
    "volumes: ['${HERE:-/etc}:/e']",
    "volumes: [{type: bind, source: /etc, target: /e}]",
    "volumes: [{type: bind, source: ../../etc, target: /e, read_only: true}]",
    "volumes: [{type: bind, src: /root, dst: /r}]",
    "volumes: [{type: npipe, source: /etc, target: /e}]",
    "volumes: [{type: cluster, source: x, target: /e}]",
    "volumes_from: [other]",
    "volumes_from: ['container:other:ro']",
    "env_file: /root/.aws/credentials",
    "env_file: [../../../../etc/passwd]",
    "env_file: [{path: /etc/shadow, required: true}]",
    "env_file: /proc/self/environ",
    "extends: {file: /etc/passwd, service: web}",
    "extends: {file: ../../other/docker-compose.yml, service: web}",
    "label_file: /etc/passwd",
    "build: /",
    "build: {context: /etc}",
    "build: {context: ., dockerfile: /etc/shadow}",
    "build: {context: ., additional_contexts: {host: /}}",
    "build: {context: ., secrets: [host]}",
    "build: {context: ., privileged: true}",
    "build: {context: ., ssh: [default]}",
    "credential_spec: {file: /etc/shadow}",
    "configs: [outside]",
    "secrets: [outside]",
    "runtime: runc-unsafe",
    "isolation: host",
    "oom_kill_disable: true",
    "use_api_socket: true",
    "post_start: [{command: id, privileged: true}]",
    "provider: {type: sh, options: {x: y}}",
    "ports: ['22:22']",
    "ports: ['0.0.0.0:80:80']",
    "ports: ['53:53/udp']",
    "ports: [{target: 80, published: 443, mode: host}]",
]
WHOLE = [
    "include: [/etc/passwd]\nservices: {web: {image: web}}",
    "include: [{path: ../../x.yml, env_file: /etc/shadow}]\nservices: {web: {image: web}}",
    "services: {web: {image: web, volumes: ['v:/v']}}\n"
    "volumes: {v: {driver_opts: {type: none, o: bind, device: /}}}",
    "services: {web: {image: web, volumes: ['v:/v']}}\nvolumes: {v: {driver: sshfs}}",
    "services: {web: {image: web, volumes: ['v:/v']}}\n"
    "volumes: {v: {external: true, name: portway-shop2-data}}",
    "services: {web: {image: web, volumes: ['v:/v']}}\nvolumes: {v: {name: somebody-elses}}",
    "services: {web: {image: web, networks: [n]}}\nnetworks: {n: {external: true, name: host}}",
    "services: {web: {image: web, networks: [n]}}\nnetworks: {n: {name: host}}",
    "services: {web: {image: web, networks: [n]}}\nnetworks: {n: {driver: host}}",
    "services: {web: {image: web, networks: [n]}}\n"
    "networks: {n: {driver: macvlan, driver_opts: {parent: eth0}}}",
    "services: {web: {image: web, secrets: [s]}}\nsecrets: {s: {file: /etc/shadow}}",
    "services: {web: {image: web, configs: [c]}}\nconfigs: {c: {file: /etc/passwd}}",
    "services: {web: {image: !!python/object/apply:os.system ['id']}}",
    "services: {web: {image: web, <<: !include /etc/passwd}}",
]
MANIFESTS = [f"services:\n  web:\n    image: web\n    {keys}\n" for keys in KEYS] + WHOLE

_opened: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event in ("open", "os.listdir", "os.scandir"):
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)


@contextmanager
def noting_files() -> Iterator[list[str]]:
    """Every file that is opened in the block."""
    global _opened
    _opened = found = []
    try:
        yield found
    finally:
        _opened = None


@pytest.fixture
async def portway(tmp_path: Path) -> AsyncIterator[Portway]:
    async with running_portway() as running:
        running.controller.policy = PolicyFile(tmp_path)
        yield running


def container_of(app: App) -> dict[str, Any]:
    identity = InstanceIdentity(
        id=f"{app.id}.1.1",
        app_id=app.id,
        slot=1,
        serial=1,
        revision="R1",
        release="R1",
        node="local",
        leases=(),
    )
    revision = Revision(id="R1", release="R1", app=app)
    request = StartRequest(
        identity=identity,
        revision=revision,
        environment={},
        command=app.command,
        command_text=app.command_text,
        aliases=(),
        directory="/srv/shop",
    )
    return container_spec(request, Settings(home_id="h")).body


def check_harmless(body: dict[str, Any]) -> None:
    """Docker is asked for nothing that leads out of the container."""
    host = body["HostConfig"]
    forbidden = ("Privileged", "CapAdd", "Devices", "SecurityOpt", "Sysctls", "Binds", "PidMode")
    forbidden += ("IpcMode", "UTSMode", "UsernsMode", "CgroupnsMode", "CgroupParent", "Runtime")
    forbidden += ("DeviceCgroupRules", "DeviceRequests", "VolumesFrom", "OomKillDisable")
    assert not {key: host[key] for key in forbidden if host.get(key)}
    assert host["CapDrop"] == ["NET_RAW"]
    assert host["NetworkMode"].startswith("portway")
    assert {mount["Type"] for mount in host.get("Mounts", [])} <= {"volume", "tmpfs"}
    for mount in host.get("Mounts", []):
        assert str(mount.get("Source", "portway")).startswith(("portway", "shop"))
        assert "DriverConfig" not in mount.get("VolumeOptions", {})


def test_there_are_enough_of_them() -> None:
    assert len(set(MANIFESTS)) == len(MANIFESTS) >= 60


@pytest.mark.parametrize("manifest", MANIFESTS)
async def test_a_manifest_gets_no_caller_within_the_policy_out_of_its_container(
    portway: Portway, tmp_path: Path, manifest: str
) -> None:
    request = ReleaseRequest(manifest=manifest, directory="/srv/shop")
    with noting_files() as opened:
        release = None
        with suppress(UserError):
            release = await portway.operations.create_release("shop", request, within_policy=True)
    assert set(opened) <= {str(tmp_path / NAME)}
    assert bool(portway.world.stacks) is (release is not None)
    if release is not None:
        kept = await portway.store.release("shop", release.id)
        assert kept is not None
        for app in kept.apps:
            check_harmless(container_of(app))
