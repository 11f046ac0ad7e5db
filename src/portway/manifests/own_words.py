"""What a field of an App is called in the language that it was written in, so that losses are told in the user's own words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from portway.core.app import App, NetworkMode

_CONTAINER = "privileged cap_add cap_drop read_only init hostname tty ulimits sysctls dns security_opt devices group_add dns_search"
_COMPOSE = """
build build
build.dockerfile build.dockerfile
count deploy.replicas
expose expose
ports ports[]
volumes volumes[]
ports.listener label portway.port
health healthcheck
health.command healthcheck.test
health.kind healthcheck.test
health.interval_s healthcheck.interval
health.timeout_s healthcheck.timeout
health.start_period_s healthcheck.start_period
health.start_interval_s healthcheck.start_interval
health.unhealthy_threshold healthcheck.retries
readiness label portway.readiness
rollout deploy.update_config
rollout.parallelism deploy.update_config.parallelism
rollout.delay_s deploy.update_config.delay
rollout.monitor_s deploy.update_config.monitor
rollout.failure_ratio deploy.update_config.max_failure_ratio
rollout.strategy label portway.deploy
rollout.breaker deploy.update_config.failure_action
rollout.drain_timeout_s label portway.drain
resources.memory_bytes mem_limit
resources.memory_reservation_bytes mem_reservation
resources.cpus cpus
resources.cpu_shares cpu_shares
resources.pids pids_limit
resources.swap_bytes memswap_limit
resources.swappiness mem_swappiness
stop_grace_s stop_grace_period
container.shm_size_bytes shm_size
container.interactive stdin_open
container.log_driver logging.driver
container.log_options logging.options
placement deploy.placement
"""
_ECS = """
image containerDefinitions[0].image
command containerDefinitions[0].command
entrypoint containerDefinitions[0].entryPoint
environment containerDefinitions[0].environment
count desiredCount
essential containerDefinitions[0].essential
ports portMappings[]
ports.container_port portMappings[].containerPort
ports.host_port portMappings[].hostPort
ports.service_ports loadBalancers
health containerDefinitions[0].healthCheck
health.command containerDefinitions[0].healthCheck.command
health.interval_s containerDefinitions[0].healthCheck.interval
health.timeout_s containerDefinitions[0].healthCheck.timeout
health.start_period_s containerDefinitions[0].healthCheck.startPeriod
health.unhealthy_threshold containerDefinitions[0].healthCheck.retries
health_grace_s healthCheckGracePeriodSeconds
rollout deploymentConfiguration
rollout.minimum_percent deploymentConfiguration.minimumHealthyPercent
rollout.maximum_percent deploymentConfiguration.maximumPercent
rollout.strict_bounds deploymentConfiguration.maximumPercent
rollout.breaker deploymentConfiguration.deploymentCircuitBreaker
resources.memory_bytes memory
resources.memory_reservation_bytes memoryReservation
resources.cpus cpu
resources.cpu_shares cpu
resources.swap_bytes linuxParameters.maxSwap
resources.swappiness linuxParameters.swappiness
volumes volumes[]
extra_hosts containerDefinitions[0].extraHosts
labels containerDefinitions[0].dockerLabels
user containerDefinitions[0].user
working_dir containerDefinitions[0].workingDirectory
stop_grace_s containerDefinitions[0].stopTimeout
container_start_timeout_s containerDefinitions[0].startTimeout
container_links containerDefinitions[0].links
container_depends_on containerDefinitions[0].dependsOn
volumes_from containerDefinitions[0].volumesFrom
container.privileged containerDefinitions[0].privileged
container.ulimits containerDefinitions[0].ulimits
container.log_driver containerDefinitions[0].logConfiguration.logDriver
container.log_options containerDefinitions[0].logConfiguration.options
containers containerDefinitions
network_mode networkMode
networks networkConfiguration
targets loadBalancers
placement placementConstraints
placement.strategies placementStrategy
"""
_MARATHON = """
name id
image container.docker.image
command cmd
entrypoint container.docker.parameters
environment env
count instances
essential containers
ports portMappings[]
ports.container_port portMappings[].containerPort
ports.host_port portMappings[].hostPort
ports.service_ports portMappings[].servicePort
ports.protocol portMappings[].protocol
ports.name portMappings[].name
ports.shuffled portMappings[].hostPort
ports.leased portMappings[].hostPort
ports.virtual labels.HAPROXY_{n}_VHOST
ports.joint labels.HAPROXY_DEPLOYMENT_GROUP
ports.unserved labels.HAPROXY_{n}_ENABLED
ports.listener labels.HAPROXY_{n}_MODE
ports.listener.sticky labels.HAPROXY_{n}_STICKY
ports.listener.balance labels.HAPROXY_{n}_BALANCE
ports.address labels.HAPROXY_{n}_BIND_ADDR
health healthChecks[0]
health.kind healthChecks[0].protocol
health.command healthChecks[0].command
health.path healthChecks[0].path
health.port_name healthChecks[0].portIndex
health.interval_s healthChecks[0].intervalSeconds
health.timeout_s healthChecks[0].timeoutSeconds
health.start_period_s healthChecks[0].gracePeriodSeconds
health.delay_s healthChecks[0].delaySeconds
health.unhealthy_threshold healthChecks[0].maxConsecutiveFailures
health.lethal healthChecks[0].maxConsecutiveFailures
further_checks healthChecks
readiness readinessChecks[0]
readiness.interval_s readinessChecks[0].intervalSeconds
readiness.timeout_s readinessChecks[0].timeoutSeconds
readiness.path readinessChecks[0].path
readiness.statuses readinessChecks[0].httpStatusCodesForReady
rollout upgradeStrategy
rollout.minimum_percent upgradeStrategy.minimumHealthCapacity
rollout.maximum_percent upgradeStrategy.maximumOverCapacity
resources.memory_bytes mem
resources.memory_reservation_bytes mem
resources.cpus cpus
resources.cpu_shares cpus
volumes container.volumes[]
networks networks
network_mode networks[0].mode
depends_on dependencies
stop_grace_s taskKillGracePeriodSeconds
container container.docker.parameters
container.privileged container.docker.privileged
container.tty tty
backoff backoffSeconds
backoff.first_s backoffSeconds
backoff.factor backoffFactor
backoff.maximum_s maxLaunchDelaySeconds
kill_oldest killSelection
unreachable unreachableStrategy
unreachable.inactive_after_s unreachableStrategy.inactiveAfterSeconds
unreachable.expunge_after_s unreachableStrategy.expungeAfterSeconds
placement constraints
environment_form $PORT0 and the other variables of Marathon
containers containers
"""

_MARATHON_ON_HOST = """
ports portDefinitions[]
ports.container_port portDefinitions[].port
ports.host_port portDefinitions[].port
ports.service_ports portDefinitions[].port
ports.protocol portDefinitions[].protocol
ports.name portDefinitions[].name
ports.shuffled portDefinitions[].port
ports.leased portDefinitions[].port
"""


def _read(table: str) -> Mapping[str, str]:
    return dict(line.split(" ", 1) for line in table.strip().splitlines())


_WORDS: Mapping[str, Mapping[str, str]] = {
    "compose": {**{f"container.{name}": name for name in _CONTAINER.split()}, **_read(_COMPOSE)},
    "ecs": _read(_ECS),
    "marathon": _read(_MARATHON),
}
_ON_HOST = _read(_MARATHON_ON_HOST)


def in_words_of(language: str, path: str, app: App | None = None) -> str:
    """The field of a manifest that a path of an App is about; the path itself where the language has no such field.

    An index stays at the name it counts: `ports[1].host_port` is `portMappings[1].hostPort` in Marathon's words, and
    `portDefinitions[1].port` where the app is on the network of the machine.
    """
    words = _WORDS.get(language, {})
    if language == "marathon" and app is not None and app.network_mode is NetworkMode.HOST:
        words = {**words, **_ON_HOST}
    index = re.search(r"\[([0-9]+)\]", path)
    for plain in _prefixes(re.sub(r"\[[0-9]+\]", "", path)):
        if (word := words.get(plain)) is not None:
            counted = index is not None and path.startswith(plain.partition(".")[0] + "[")
            number = index[1] if index is not None and counted else ""
            return word.replace("[]", f"[{number}]" if number else "").replace("{n}", number or "n")
    return path


def _prefixes(path: str) -> Iterator[str]:
    """The path, then less and less of it."""
    while path:
        yield path
        path = path.rpartition(".")[0]
