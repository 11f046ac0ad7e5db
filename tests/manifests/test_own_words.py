"""Losses are told by the names of fields that the user wrote."""

from __future__ import annotations

import pytest

from portway.core.app import App, NetworkMode
from portway.manifests.own_words import in_words_of


@pytest.mark.parametrize(
    ("language", "path", "told"),
    [
        ("compose", "stop_grace_s", "stop_grace_period"),
        ("compose", "resources.memory_bytes", "mem_limit"),
        ("compose", "health.host", "healthcheck"),
        ("compose", "ports[1].host_port", "ports[1]"),
        ("compose", "container.cap_add", "cap_add"),
        ("compose", "user", "user"),
        ("ecs", "health.interval_s", "containerDefinitions[0].healthCheck.interval"),
        ("ecs", "ports[0].host_port", "portMappings[0].hostPort"),
        ("marathon", "ports[1].host_port", "portMappings[1].hostPort"),
        ("marathon", "ports[0].listener.sticky", "labels.HAPROXY_0_STICKY"),
        ("marathon", "volumes[2].size_bytes", "container.volumes[2]"),
        ("marathon", "backoff.factor", "backoffFactor"),
        ("marathon", "rollout.progress_deadline_s", "upgradeStrategy"),
        ("other", "backoff.factor", "backoff.factor"),
    ],
)
def test_a_field_is_called_as_its_language_calls_it(language: str, path: str, told: str) -> None:
    assert in_words_of(language, path) == told


def test_on_the_network_of_the_machine_marathons_ports_are_definitions() -> None:
    app = App(id="a/b", network_mode=NetworkMode.HOST)
    assert in_words_of("marathon", "ports[1].host_port", app) == "portDefinitions[1].port"
    assert in_words_of("ecs", "ports[1].host_port", app) == "portMappings[1].hostPort"
