"""Compose `deploy`, limits, `scale` and `restart` -> count, Rollout, Resources, Restart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from portway.core.app import Resources, Restart, Rollout, Volume, VolumeKind
from portway.core.strategy import BAKE_MAX_S
from portway.manifests.compose_labels import Labels
from portway.manifests.compose_strategy import strategy_of
from portway.manifests.compose_values import duration_of, ignore, size_of
from portway.manifests.tree import (
    Fields,
    Node,
    fields_of,
    integer_of,
    number_of,
    shown,
    text_of,
    warn_unknown,
)

COUNT_MAX = 1000
MEMORY_MIN_BYTES = 4 * 1024 * 1024  # as Convox; below it nothing starts

_DEPLOY_KEYS = (
    "mode", "replicas", "resources", "update_config", "rollback_config", "restart_policy",
    "placement", "labels", "endpoint_mode",
)  # fmt: skip
_DEPLOY_IGNORED = {
    "rollback_config": "rollback_config is ignored: `portway rollback` is a deployment like any other, by update_config; "
    "a deployment that fails goes back at once",
    "placement": "placement is ignored: there is one node to place instances on",
    "labels": "deploy.labels are ignored: write them under the service's own labels",
    "endpoint_mode": "endpoint_mode is ignored: portway's balancer always answers",
}
_UPDATE_KEYS = ("parallelism", "delay", "order", "failure_action", "monitor", "max_failure_ratio")
_FAILURE_ACTIONS_IGNORED = {
    "pause": "pause is ignored: a release that fails goes back to the one before at once, as with rollback",
    "continue": "continue is ignored: a release that fails never replaces one that works",
}
_RESTART_KEYS = ("condition", "delay", "max_attempts", "window")
_CONDITIONS = {
    "none": Restart.NEVER,
    "on-failure": Restart.ON_FAILURE,
    "any": Restart.ALWAYS,
}
_RESTARTS = {
    "no": Restart.NEVER,
    "false": Restart.NEVER,
    "always": Restart.ALWAYS,
    "unless-stopped": Restart.ALWAYS,
    "on-failure": Restart.ON_FAILURE,
}
_SYSTEM_PATHS = ("/proc", "/sys", "/dev", "/cgroup")
_SYSTEM_FILES = ("/var/run/docker.sock", "/run/docker.sock", "/etc/localtime", "/etc/timezone")


def deploy_of(service: Fields) -> Fields | None:
    """The service's `deploy`, with warnings for what in it means nothing here."""
    deploy = fields_of(service.get("deploy"))
    if deploy is None:
        return None
    warn_unknown(deploy, _DEPLOY_KEYS, of="deploy")
    ignore(deploy, _DEPLOY_IGNORED)
    mode = deploy.text("mode")
    if mode is not None and mode != "replicated":
        node = deploy.entries["mode"]
        if mode in ("global", "global-job", "replicated-job"):
            node.warn(f"mode {mode} is ignored: portway runs the number of instances it is told to")
        else:
            node.error(f"'{shown(mode)}' is not a mode", "Write replicated, or remove it.")
    return deploy


def count_of(service: Fields, deploy: Fields | None) -> int | None:
    """How many instances the file asks for; None when it does not say."""
    replicas = deploy.get("replicas") if deploy else None
    scale = service.get("scale")
    count = integer_of(replicas, minimum=0, maximum=COUNT_MAX)
    scaled = integer_of(scale, minimum=0, maximum=COUNT_MAX)
    if scale is not None and count is not None and scaled is not None and scaled != count:
        scale.error(f"scale is {scaled}, but deploy.replicas is {count}", "Keep one of them.")
    return scaled if count is None else count


def rollout_of(
    deploy: Fields | None, labels: Labels, volumes: Iterable[Volume], *, count: int | None
) -> Rollout:
    """How one revision replaces another: labels, else update_config, else 100/200, else (own data) 0/100."""
    update = fields_of(deploy.get("update_config")) if deploy else None
    rollout = (
        Rollout() if not is_stateful(volumes) else Rollout(minimum_percent=0, maximum_percent=100)
    )
    if update is not None:
        rollout = _updated(rollout, update, count=1 if count is None else count)
    strategy = strategy_of(labels)
    if rollout.monitor_s and labels.setting("deploy.bake_s") is None:
        strategy = replace(strategy, bake_s=min(rollout.monitor_s, BAKE_MAX_S))
    return replace(_labelled(rollout, labels), strategy=strategy)


def chooses_order(deploy: Fields | None, labels: Labels) -> bool:
    """Whether the file itself says how an old revision makes way for a new one."""
    update = deploy.get("update_config") if deploy else None
    if isinstance(update, Fields) and update.get("order") is not None:
        return True
    return any(labels.setting(f"deployment.{bound}") for bound in ("minimum", "maximum"))


def is_stateful(volumes: Iterable[Volume]) -> bool:
    """Whether instances write data that outlives them, which two versions must not do at once."""
    return any(
        volume.kind in (VolumeKind.NAMED, VolumeKind.BIND)
        and volume.source != ""
        and not volume.read_only
        and not _is_of_the_system(volume.source)
        for volume in volumes
    )


def _is_of_the_system(source: str) -> bool:
    return source in _SYSTEM_FILES or any(
        source == path or source.startswith(path + "/") for path in _SYSTEM_PATHS
    )


def _updated(rollout: Rollout, update: Fields, *, count: int) -> Rollout:
    warn_unknown(update, _UPDATE_KEYS, of="update_config")
    parallelism = integer_of(update.get("parallelism"), minimum=0, maximum=COUNT_MAX)
    delay_s = duration_of(update.get("delay")) or 0.0
    if delay_s and parallelism is None:
        parallelism = 1  # as in Swarm: without batches there would be nothing to wait between
    elif delay_s and not parallelism:
        update.keys["delay"].warn("delay is ignored: parallelism 0 replaces all at once")
    rollout = replace(
        rollout,
        parallelism=parallelism or 0,
        delay_s=delay_s,
        monitor_s=duration_of(update.get("monitor")) or 0.0,
        failure_ratio=number_of(update.get("max_failure_ratio"), minimum=0, maximum=1),
    )
    _check_failure_action(update)
    order = update.text("order")
    match order:
        case None:
            return rollout
        case "start-first":
            return replace(rollout, minimum_percent=100, maximum_percent=200)
        case "stop-first":
            at_once = 1 if parallelism is None else parallelism or count
            minimum = 100 * max(count - at_once, 0) // max(count, 1)
            return replace(rollout, minimum_percent=minimum, maximum_percent=100)
        case _:
            node = update.entries["order"]
            hint = node.suggest(order, ("start-first", "stop-first"))
            node.error(
                f"'{shown(order)}' is not an order", hint or "Write start-first or stop-first."
            )
            return rollout


def _check_failure_action(update: Fields) -> None:
    action = update.text("failure_action")
    if action in (None, "rollback"):
        return
    node = update.entries["failure_action"]
    if action in _FAILURE_ACTIONS_IGNORED:
        node.warn(_FAILURE_ACTIONS_IGNORED[action])
    else:
        node.error(f"'{shown(action)}' is not a failure_action", "Write rollback, or remove it.")


def _labelled(rollout: Rollout, labels: Labels) -> Rollout:
    minimum = labels.setting("deployment.minimum")
    maximum = labels.setting("deployment.maximum")
    draining = labels.setting("draining.timeout")
    if minimum or maximum:
        default = Rollout()
        low = minimum.integer(service=labels.service, minimum=0, maximum=100) if minimum else None
        high = (
            maximum.integer(service=labels.service, minimum=100, maximum=1000) if maximum else None
        )
        rollout = replace(
            rollout,
            minimum_percent=default.minimum_percent if low is None else low,
            maximum_percent=default.maximum_percent if high is None else high,
        )
    if draining is None:
        return rollout
    if draining.native:
        drain_s = draining.number(service=labels.service, minimum=0, maximum=3600)
    else:
        drain_s = _convox_draining_s(labels, draining.value)
    return rollout if drain_s is None else replace(rollout, drain_timeout_s=drain_s)


def _convox_draining_s(labels: Labels, value: str) -> float | None:
    setting = labels.setting("draining.timeout")
    assert setting is not None
    if value.isascii() and value.isdecimal() and len(value) < 5 and 1 <= int(value) <= 3600:
        return float(value)
    setting.error(f"convox.draining.timeout for {labels.service} must be between 1 and 3600")
    return None


def resources_of(service: Fields, deploy: Fields | None) -> Resources:
    """The limits an engine enforces, from the service's own keys or deploy.resources."""
    resources = fields_of(deploy.get("resources")) if deploy else None
    if resources is not None:
        warn_unknown(resources, ("limits", "reservations"), of="deploy.resources")
    limits = _resource_part(resources, "limits", ("cpus", "memory", "pids"))
    reserved = _resource_part(
        resources, "reservations", ("cpus", "memory", "devices", "generic_resources")
    )
    for key in ("devices", "generic_resources"):
        if reserved and reserved.get(key) is not None:
            reserved.keys[key].warn(f"{key} are ignored: portway does not reserve devices")
    reserved_cpus = _cpus(reserved.get("cpus") if reserved else None)
    shares = integer_of(service.get("cpu_shares"), minimum=0, maximum=262_144)
    if shares is None and reserved_cpus:
        shares = max(2, round(reserved_cpus * 1024))
    return Resources(
        memory_bytes=_memory(_either(service, "mem_limit", limits, "memory")),
        memory_reservation_bytes=_memory(_either(service, "mem_reservation", reserved, "memory")),
        cpus=_cpus(_either(service, "cpus", limits, "cpus")),
        cpu_shares=shares or None,
        pids=_pids(_either(service, "pids_limit", limits, "pids")),
    )


def _resource_part(resources: Fields | None, key: str, known: tuple[str, ...]) -> Fields | None:
    part = fields_of(resources.get(key)) if resources else None
    if part is not None:
        warn_unknown(part, known, of=key)
    return part


def _either(service: Fields, key: str, part: Fields | None, part_key: str) -> Node | None:
    """The one of two places that is given; both with different values is an error."""
    own, other = service.get(key), part.get(part_key) if part else None
    if own is None or other is None:
        return own or other
    if text_of(own) != text_of(other):
        own.error(f"{key} and {other.path} say different things", "Keep one of them.")
    return own


def _memory(node: Node | None) -> int | None:
    size_bytes = size_of(node)
    if node is None or not size_bytes:
        return None
    if size_bytes < MEMORY_MIN_BYTES:
        text = text_of(node) or ""
        hint = f"Write {text}m for megabytes." if text.isdecimal() else ""
        node.error(f"{size_bytes} bytes of memory are too few: at least 4m", hint)
        return None
    return size_bytes


def _cpus(node: Node | None) -> float | None:
    return number_of(node, minimum=0, maximum=4096) or None


def _pids(node: Node | None) -> int | None:
    """0 and -1 mean no limit, as in Docker."""
    pids = integer_of(node, minimum=-1, maximum=4_194_304)
    return None if pids is None or pids <= 0 else pids


def restart_of(service: Fields, deploy: Fields | None, *, awaited: bool) -> Restart:
    """What follows an instance's exit. ALWAYS unless the file says otherwise; one whose end is `awaited` runs once."""
    policy = fields_of(deploy.get("restart_policy")) if deploy else None
    if policy is not None:
        return _policy(policy)
    node = service.get("restart")
    text = text_of(node)
    if node is None or text is None:
        return Restart.NEVER if awaited else Restart.ALWAYS
    word, colon, attempts = text.strip().lower().partition(":")
    if word not in _RESTARTS or (colon and not re.fullmatch("[0-9]{1,9}", attempts)):
        known = ("no", "always", "on-failure", "unless-stopped")
        node.error(
            f"'{shown(text)}' is not a restart policy",
            node.suggest(word, known) or f"Write one of {', '.join(known)}.",
        )
        return Restart.ALWAYS
    if colon:
        node.warn(
            "the number of attempts is ignored: portway waits longer between attempts instead"
        )
    if awaited and _RESTARTS[word] is Restart.ALWAYS:
        node.error(
            f"another service waits for this one to complete, and restart: {word} never lets it",
            "Write restart: on-failure, or remove it.",
        )
    return _RESTARTS[word]


def _policy(policy: Fields) -> Restart:
    warn_unknown(policy, _RESTART_KEYS, of="restart_policy")
    ignored = "is ignored: portway waits longer between attempts by itself"
    ignore(policy, {key: f"{key} {ignored}" for key in ("delay", "max_attempts", "window")})
    condition = policy.text("condition")
    if condition is None:
        return Restart.ALWAYS
    if condition not in _CONDITIONS:
        node = policy.entries["condition"]
        hint = node.suggest(condition, _CONDITIONS) or "Write none, on-failure or any."
        node.error(f"'{shown(condition)}' is not a condition", hint)
        return Restart.ALWAYS
    return _CONDITIONS[condition]
