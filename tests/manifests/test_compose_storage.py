"""compose_storage: the rules."""

from __future__ import annotations

import pytest

from portway.core.app import Volume, VolumeKind
from portway.core.errors import Problem
from tests.manifests.compose_files import (
    app_of,
    parse,
    problem_of,
    service,
    service_text,
    warning_of,
)

BIND, NAMED, TMPFS = VolumeKind.BIND, VolumeKind.NAMED, VolumeKind.TMPFS
TOP = "volumes:\n  data:\n  theirs: {external: true}\n  renamed: {name: other}\n  old: {external: {name: older}}\n"


def volume(written: str) -> Volume:
    (found,) = app_of(
        service_text("volumes:", f"  - {written}") + TOP, variables={"HOME": "/home/me"}
    ).volumes
    return found


def problem(written: str) -> Problem:
    return problem_of(service_text("volumes:", f"  - {written}") + TOP)


VOLUMES = {
    "./x:/y": Volume(kind=BIND, source="/project/x", target="/y"),
    "../x:/y": Volume(kind=BIND, source="/x", target="/y"),
    ".:/y": Volume(kind=BIND, source="/project", target="/y"),
    "/x/:/y/": Volume(kind=BIND, source="/x", target="/y"),
    "~/x:/y": Volume(kind=BIND, source="/home/me/x", target="/y"),
    "./x:/y:ro": Volume(kind=BIND, source="/project/x", target="/y", read_only=True),
    "./x:/y:rw": Volume(kind=BIND, source="/project/x", target="/y"),
    "./x:/y:cached,ro": Volume(kind=BIND, source="/project/x", target="/y", read_only=True),
    "data:/y": Volume(kind=NAMED, source="data", target="/y"),
    "theirs:/y": Volume(kind=NAMED, source="theirs", target="/y", external=True),
    "renamed:/y": Volume(kind=NAMED, source="other", target="/y", external=True),
    "old:/y": Volume(kind=NAMED, source="older", target="/y", external=True),
    "/y": Volume(kind=NAMED, source="", target="/y"),
    "{type: bind, source: ./x, target: /y}": Volume(kind=BIND, source="/project/x", target="/y"),
    "{type: volume, source: data, target: /y, read_only: true}": Volume(
        kind=NAMED, source="data", target="/y", read_only=True
    ),
    "{type: volume, target: /y}": Volume(kind=NAMED, source="", target="/y"),
    "{source: data, target: /y}": Volume(kind=NAMED, source="data", target="/y"),
    "{type: tmpfs, target: /y, tmpfs: {size: 64m}}": Volume(
        kind=TMPFS, source="", target="/y", size_bytes=64 << 20
    ),
}


@pytest.mark.parametrize("written", VOLUMES)
def test_every_form_of_a_volume_is_a_mount(written: str) -> None:
    assert volume(written) == VOLUMES[written]


REFUSED = {
    "dta:/y": "the volume 'dta' is not declared",
    "./x:y": "not an absolute path",
    "y": "not an absolute path",
    "./x:/y:wr": "not an option of a volume",
    "a:b:c:d": "is not a volume",
    "'data:'": "is not a volume",
    "''": "is empty",
    "x/y:/z": "neither a path nor the name",
    "~/x:/y": "'~' is not known here",
    "{type: bind, target: /y}": "a bind needs a source",
    "{type: bind, source: ./x}": "a volume needs a target",
    "{type: npipe, source: a, target: /y}": "type 'npipe' is not supported",
    "{type: volume, source: data, target: /y, volume: {subpath: a}}": "part of a volume",
}


@pytest.mark.parametrize("written", REFUSED)
def test_a_volume_that_cannot_be_is_an_error_at_its_place(written: str) -> None:
    found = problem(written)
    assert REFUSED[written] in found.message
    assert found.line == 5
    assert found.path.startswith("services.web.volumes[0]")


def test_a_mistyped_volume_gets_its_likely_name() -> None:
    assert problem("dta:/y").hint == 'Did you mean "data"?'


def test_version_1_had_no_top_level_volumes() -> None:
    (found,) = app_of("web: {image: x, volumes: ['data:/y']}").volumes
    assert found == Volume(kind=NAMED, source="data", target="/y")


def test_two_volumes_at_one_path_are_refused() -> None:
    text = service_text("volumes: [./a:/y, ./b:/y/]")
    found = problem_of(text)
    assert "two volumes are mounted at /y" in found.message
    assert found.path == "services.web.volumes[1]"


@pytest.mark.parametrize("written", ["/run", "[/run]"])
def test_tmpfs_is_memory(written: str) -> None:
    assert service(f"tmpfs: {written}").volumes == (Volume(kind=TMPFS, source="", target="/run"),)


def test_tmpfs_may_have_a_size() -> None:
    (found,) = service("tmpfs: '/run:size=8m'").volumes
    assert found.size_bytes == 8 << 20
    assert "'mode=1777'" in warning_of(service_text("tmpfs: '/run:mode=1777'")).message


def test_options_that_mean_nothing_here_are_warned_of() -> None:
    assert "SELinux" in warning_of(service_text("volumes: ['./x:/y:ro,z']")).message


def test_a_driver_that_is_not_there_is_refused() -> None:
    text = service_text("user: a") + "volumes: {data: {driver: nfs}}\n"
    assert "driver 'nfs' is not supported" in problem_of(text).message


def test_volumes_that_nobody_uses_are_no_mistake() -> None:
    assert parse(service_text("user: a") + TOP).warnings == ()
