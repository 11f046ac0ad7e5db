"""Task definition -> App: every field where Docker is asked for it."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.app import (
    CheckKind,
    ContainerCondition,
    HealthCheck,
    NetworkMode,
    Resources,
    VolumeKind,
)
from portway.core.containers import fault_of
from portway.manifests.ecs_app import (
    Making,
    app_of,
    secret_faults,
    secret_file,
    secret_key,
    secret_names,
)
from portway.manifests.ecs_definition import check_definition
from portway.manifests.ecs_ports import Reach
from portway.manifests.ecs_write import write_ecs

MIB = 1024 * 1024
WEB: dict[str, Any] = {"name": "web", "image": "nginx", "memory": 64}


def made(*containers: dict[str, Any], reach: Reach = Reach.NODE, secrets: Any = None, **more: Any):  # noqa: ANN201
    value = {"family": "web", "containerDefinitions": list(containers or (WEB,)), **more}
    checked = check_definition(value)
    assert checked.faults == ()
    app = app_of(checked.body, Making(app_id="c/web", reach=reach, secrets=secrets or {}))
    assert fault_of(app) == ""
    return app


def test_the_defaults_are_those_of_ecs() -> None:
    app = made()
    assert app.network_mode is NetworkMode.BRIDGE
    assert app.health.kind is CheckKind.NONE
    assert (app.stop_grace_s, app.container_start_timeout_s) == (30.0, 180.0)
    assert app.resources == Resources(memory_bytes=64 * MIB, cpu_shares=2)
    assert app.placement.reserves


def test_a_file_goes_into_the_stacks_network_unless_it_says_otherwise() -> None:
    app = made(reach=Reach.LISTENER)
    assert (app.network_mode, app.health.kind) == (NetworkMode.STACK, CheckKind.TCP)
    assert made(reach=Reach.LISTENER, networkMode="bridge").network_mode is NetworkMode.BRIDGE


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("host", NetworkMode.HOST), ("awsvpc", NetworkMode.OWN), ("none", NetworkMode.NONE)],
)
def test_each_network_mode_has_its_own(mode: str, wanted: NetworkMode) -> None:
    assert made(networkMode=mode).network_mode is wanted


def test_the_limits_of_a_task_bound_its_containers() -> None:
    app = made({"name": "a", "image": "x"}, {**WEB, "cpu": 128}, cpu=".5 vCPU", memory="0.5 GB")
    assert (app.resources.cpus, app.resources.memory_bytes) == (0.5, 512 * MIB)
    (other,) = app.containers
    assert (other.resources.cpu_shares, other.resources.memory_bytes) == (128, 64 * MIB)
    assert (app.placement.cpu_units, app.placement.memory_bytes) == (512, 512 * MIB)


def test_containers_wait_link_and_share_as_they_say() -> None:
    job = {**WEB, "name": "job", "essential": False}
    web = {**WEB, "dependsOn": [{"containerName": "job", "condition": "SUCCESS"}],
           "links": ["job:j"], "volumesFrom": [{"sourceContainer": "job", "readOnly": True}]}  # fmt: skip
    app = made(web, job)
    assert app.container_depends_on[0].condition is ContainerCondition.SUCCESS
    assert (app.container_links, app.volumes_from) == ((("job", "j"),), (("job", True),))
    assert (app.container_name, app.containers[0].name) == ("web", "job")
    assert (app.essential, app.containers[0].essential) == (True, False)


def test_a_health_check_is_a_command_in_the_container() -> None:
    check = {"command": ["CMD-SHELL", "wget -q localhost"], "interval": 7, "startPeriod": 9}
    assert made({**WEB, "healthCheck": check}).health == HealthCheck(
        kind=CheckKind.COMMAND,
        command=("CMD-SHELL", "wget -q localhost"),
        interval_s=7.0,
        timeout_s=5.0,
        unhealthy_threshold=3,
        start_period_s=9.0,
    )
    assert made({**WEB, "healthCheck": {"command": ["NONE"]}}).health.kind is CheckKind.NONE


def test_what_docker_alone_understands_is_handed_on() -> None:
    app = made(
        {
            **WEB,
            "hostname": "h",
            "user": "1",
            "workingDirectory": "/w",
            "privileged": True,
            "readonlyRootFilesystem": True,
            "pseudoTerminal": True,
            "interactive": True,
            "dnsServers": ["1.1.1.1"],
            "dnsSearchDomains": ["x"],
            "dockerSecurityOptions": ["no-new-privileges"],
            "extraHosts": [{"hostname": "a", "ipAddress": "10.0.0.1"}],
            "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
            "systemControls": [{"namespace": "net.core.somaxconn", "value": "9"}],
            "dockerLabels": {"a": "b"},
            "logConfiguration": {"logDriver": "syslog", "options": {"tag": "x"}},
            "linuxParameters": {
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
                "devices": [{"hostPath": "/dev/null", "permissions": ["read", "write"]}],
                "initProcessEnabled": True,
                "sharedMemorySize": 8,
                "maxSwap": 16,
                "swappiness": 5,
                "tmpfs": [{"containerPath": "/t", "size": 4, "mountOptions": ["noexec"]}],
            },
        }
    )
    options = app.container
    assert (options.hostname, app.user, app.working_dir) == ("h", "1", "/w")
    assert options.privileged
    assert options.read_only
    assert options.tty
    assert options.interactive
    assert options.init
    assert (options.cap_add, options.cap_drop) == (("NET_ADMIN",), ("ALL",))
    assert options.devices == ("/dev/null:/dev/null:rw",)
    assert (options.dns, options.dns_search) == (("1.1.1.1",), ("x",))
    assert options.security_opt == ("no-new-privileges",)
    assert options.ulimits == {"nofile": (1, 2)}
    assert options.sysctls == {"net.core.somaxconn": "9"}
    assert (options.log_driver, options.log_options) == ("syslog", {"tag": "x"})
    assert options.shm_size_bytes == 8 * MIB
    assert (app.resources.swap_bytes, app.resources.swappiness) == (16 * MIB, 5)
    assert app.extra_hosts == (("a", "10.0.0.1"),)
    assert app.labels == {"a": "b"}
    (tmpfs,) = app.volumes
    assert (tmpfs.kind, tmpfs.size_bytes, tmpfs.options) == (VolumeKind.TMPFS, 4 * MIB, ("noexec",))


def test_awslogs_is_written_here_and_labelled_for_whoever_ships_it() -> None:
    log = {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-stream-prefix": "p"}}
    app = made({**WEB, "logConfiguration": log})
    assert (app.container.log_driver, app.container.log_options) == ("", {})
    assert app.labels == {
        "portway.logs.awslogs-group": "g",
        "portway.logs.awslogs-stream-prefix": "p",
    }


def test_volumes_are_paths_lasting_ones_or_the_tasks_own() -> None:
    names = ("host", "own", "lasting", "there")
    mounts = [{"sourceVolume": name, "containerPath": f"/{name}"} for name in names]
    volumes = [
        {"name": "host", "host": {"sourcePath": "/srv"}},
        {"name": "own", "host": {}},
        {"name": "lasting", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True, "driver": "local"}},
        {"name": "there", "dockerVolumeConfiguration": {"scope": "shared"}},
    ]  # fmt: skip
    app = made({**WEB, "mountPoints": mounts}, volumes=volumes)
    told = [(v.kind, v.source, v.target, v.external) for v in app.volumes]
    assert told == [
        (VolumeKind.BIND, "/srv", "/host", False),
        (VolumeKind.NAMED, "", "/own", False),
        (VolumeKind.NAMED, "lasting", "/lasting", False),
        (VolumeKind.NAMED, "there", "/there", True),
    ]


def test_a_volume_that_several_containers_mount_has_a_name() -> None:
    mount = {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v", "readOnly": True}]}
    app = made({**WEB, **mount}, {**WEB, "name": "b", **mount}, volumes=[{"name": "v"}])
    assert [v.source for v in (*app.volumes, *app.containers[0].volumes)] == ["web-v", "web-v"]
    assert app.volumes[0].read_only


def test_what_is_no_shared_volume_is_each_tasks_own() -> None:
    point = {"sourceVolume": "v", "containerPath": "/v"}
    twice = {**WEB, "mountPoints": [point, {**point, "containerPath": "/w"}]}
    task = {"scope": "task", "driver": "local", "driverOpts": {"type": "tmpfs"}}
    for volume in ({"name": "v", "host": {}}, {"name": "v", "dockerVolumeConfiguration": task}):
        app = made(twice, volumes=[volume])
        assert [(v.source, v.of_instance) for v in app.volumes] == [("web-v", True)] * 2
        (once,) = made({**WEB, "mountPoints": [point]}, volumes=[volume]).volumes
        assert (once.source, once.of_instance) == ("", False)
        [back] = write_ecs((app,)).definitions[0]["volumes"]
        assert back == {**volume, "name": "web-v"}
    assert (once.driver, once.driver_options) == ("local", {"type": "tmpfs"})
    shared = {"scope": "shared", "autoprovision": True}
    app = made(twice, volumes=[{"name": "v", "dockerVolumeConfiguration": shared}])
    assert [(v.source, v.of_instance) for v in app.volumes] == [("v", False)] * 2


def test_secrets_are_variables_and_those_without_a_value_are_named() -> None:
    body = {**WEB, "secrets": [{"name": "PASSWORD", "valueFrom": "db"}]}
    assert made(body, secrets={"db": "s3"}).environment == {"PASSWORD": "s3"}
    value = {"family": "x", "containerDefinitions": [body]}
    assert secret_names(value) == ("db",)
    (fault,) = secret_faults(value, {}, file="secrets/{name}")
    assert (fault.hint, fault.where[-1]) == ("Write it to secrets/db.", "valueFrom")


@pytest.mark.parametrize(
    ("value_from", "file", "key"),
    [
        ("db", "db", ""),
        ("/prod/db", "prod/db", ""),
        ("arn:aws:ssm:us-east-1:000000000000:parameter/prod/db", "prod/db", ""),
        ("arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbC123", "db", ""),
        ("arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbC123:user::", "db", "user"),
        ("arn:", "", ""),
    ],
)
def test_a_secret_is_a_file_of_its_name(value_from: str, file: str, key: str) -> None:
    assert (secret_file(value_from), secret_key(value_from)) == (file, key)
