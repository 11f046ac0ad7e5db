"""What only Docker understands of an App, as parameters of docker run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from portway.core.app import App, VolumeKind

_STOP_SIGNAL = "SIGTERM"


def parameters_of(app: App) -> list[dict[str, str]]:
    """The parameters, in a settled order; what docker run cannot be told is left out."""
    return [{"key": key, "value": value} for key, value in _pairs(app)]


def _pairs(app: App) -> Iterator[tuple[str, str]]:
    options = app.container
    if app.entrypoint and app.entrypoint != ("/bin/sh",):
        yield "entrypoint", app.entrypoint[0]
    for key, flag in (
        ("init", options.init),
        ("read-only", options.read_only),
        ("interactive", options.interactive),
    ):
        if flag:
            yield key, "true"
    yield from _each("cap-add", options.cap_add)
    yield from _each("cap-drop", options.cap_drop)
    yield from _each("device", options.devices)
    yield from _each("dns", options.dns)
    yield from _each("dns-search", options.dns_search)
    yield from _each("group-add", options.group_add)
    yield from _each("security-opt", options.security_opt)
    yield from _map("sysctl", options.sysctls)
    yield from _each(
        "ulimit", (f"{n}={soft}:{hard}" for n, (soft, hard) in options.ulimits.items())
    )
    yield from _each("add-host", (f"{name}:{address}" for name, address in app.extra_hosts))
    if options.hostname:
        yield "hostname", options.hostname
    if options.shm_size_bytes:
        yield "shm-size", f"{options.shm_size_bytes}b"
    if options.log_driver:
        yield "log-driver", options.log_driver
    yield from _map("log-opt", options.log_options)
    if app.stop_signal != _STOP_SIGNAL:
        yield "stop-signal", app.stop_signal
    if app.working_dir:
        yield "workdir", app.working_dir
    yield from _sizes(app)
    yield from _volumes(app)  # fmt: skip


def _each(key: str, values: Iterable[str]) -> Iterator[tuple[str, str]]:
    yield from ((key, value) for value in values)


def _map(key: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from ((key, f"{name}={value}") for name, value in values.items())


def _sizes(app: App) -> Iterator[tuple[str, str]]:
    resources = app.resources
    if resources.pids is not None:
        yield "pids-limit", str(resources.pids)
    if resources.swappiness is not None:
        yield "memory-swappiness", str(resources.swappiness)
    if resources.cpu_shares is not None:
        yield "cpu-shares", str(resources.cpu_shares)


def _volumes(app: App) -> Iterator[tuple[str, str]]:
    for volume in app.volumes:
        end = ":ro" if volume.read_only else ""
        if volume.kind is VolumeKind.TMPFS:
            options = f":{','.join(volume.options)}" if volume.options else ""
            yield "tmpfs", f"{volume.target}{options}"
        elif volume.kind is VolumeKind.NAMED:
            yield (
                "volume",
                f"{volume.source}:{volume.target}{end}" if volume.source else volume.target,
            )
