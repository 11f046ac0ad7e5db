"""Values to save: an App state with everything in it, releases, certificates, events."""

from __future__ import annotations

from portway.core.app import App, Condition, Dependency, PortSpec, Protocol, Volume, VolumeKind
from portway.core.events import Event
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.ports import Lease
from portway.core.stack import Certificate, Release, Stack
from portway.core.state import AppState, Deployment, Failure, Revision
from portway.core.traffic import Traffic
from portway.store.base import CoolingLease


def lease(host_port: int = 31000) -> Lease:
    return Lease(
        port_name="http",
        node="local",
        protocol=Protocol.TCP,
        host_port=host_port,
        container_port=80,
    )


def cooling(host_port: int = 31000) -> CoolingLease:
    return CoolingLease(lease=lease(host_port), free_at_ms=1_700_000_005_000)


def app(app_id: str = "httpd/web") -> App:
    return App(
        id=app_id,
        image="sha256:1234",
        environment={"KEY": "välue", "NUL": "a\x00b"},
        ports=(PortSpec(name="http", container_port=80, service_ports=(8000,)),),
        volumes=(Volume(kind=VolumeKind.NAMED, source="data", target="/data"),),
        depends_on=(Dependency(name="redis", condition=Condition.HEALTHY),),
        extra_hosts=(("db", "10.0.0.1"),),
    )


def revision(app_id: str = "httpd/web", release: str = "RUAENUMAQBS") -> Revision:
    return Revision(id=release, release=release, app=app(app_id), environment={"SECRET": "x"})


def instance(app_id: str, slot: int) -> InstanceRecord:
    identity = InstanceIdentity(
        id=f"{app_id}.{slot}.{slot}",
        app_id=app_id,
        slot=slot,
        serial=slot,
        revision="RUAENUMAQBS",
        release="RUAENUMAQBS",
        node="local",
        leases=(lease(31000 + slot),),
    )
    return InstanceRecord(identity=identity, phase=Phase.READY, planned_at_ms=1_700_000_000_000)


def state(app_id: str = "httpd/web", *, version: int = 0, count: int = 2) -> AppState:
    target = revision(app_id)
    return AppState(
        app_id=app_id,
        target=target,
        revisions={target.id: target},
        count=count,
        next_serial=count + 1,
        instances=tuple(instance(app_id, slot) for slot in range(1, count + 1)),
        deployment=Deployment(
            id="D1",
            to_revision=target.id,
            started_at_ms=1,
            progressed_at_ms=2,
            traffic_before={"a.1.1": Traffic(requests=7, errors_5xx=1)},
        ),
        failures=(Failure(at_ms=3, instance_id="a.1.1", revision="R", reason="exit 1"),),
        service_ports={"http": 8000},
        version=version,
    )


def stack(name: str = "httpd") -> Stack:
    return Stack(name=name, created_at_ms=1, environment={"SECRET": "x"}, scales={"web": 2})


def release(release_id: str, *, stack: str = "httpd", created_at_ms: int = 1) -> Release:
    return Release(
        id=release_id,
        stack=stack,
        created_at_ms=created_at_ms,
        manifest="web:\n  image: httpd\n",
        manifest_name="docker-compose.yml",
        apps=(app(),),
        environment={"SECRET": "x"},
    )


def certificate(name: str = "httpd-web-8443-ab12") -> Certificate:
    return Certificate(
        name=name,
        target="httpd/web:8443",
        pem="-----BEGIN CERTIFICATE-----\n",
        domains=("example.test",),
        expires_at_ms=1_800_000_000_000,
        fingerprint="ab" * 32,
    )


def event(kind: str = "instance.started", *, at_ms: int = 1, **fields: str) -> Event:
    return Event(at_ms=at_ms, kind=kind, message="It happened.", data={"k": "v"}, **fields)
