"""/v2/info, /v2/leader, /v2/plugins and /ping: about the server itself."""

from __future__ import annotations

from starlette.responses import Response

from portway.api.marathon.answers import answer, nothing
from portway.api.marathon.call import Call
from portway.controller.marathon.settings import MarathonSettings

_UNSET = (
    "access_control_allow_origin", "decline_offer_duration", "executor", "failover_timeout",
    "framework_name", "launch_token", "launch_token_refresh_interval", "leader_proxy_connection_timeout_ms",
    "leader_proxy_read_timeout_ms", "master", "max_instances_per_offer", "mesos_heartbeat_failure_threshold",
    "mesos_heartbeat_interval", "mesos_leader_ui_url", "mesos_user", "min_revive_offers_interval",
    "new_group_enforce_role", "offer_matching_timeout", "on_elected_prepare_timeout", "reconciliation_initial_delay",
    "reconciliation_interval", "revive_offers_for_new_apps", "revive_offers_repetitions", "scale_apps_initial_delay",
    "scale_apps_interval", "store_cache", "task_launch_confirm_timeout", "task_launch_timeout",
    "task_lost_expunge_initial_delay", "task_lost_expunge_interval", "task_reservation_timeout", "webui_url",
)  # fmt: skip


async def show_info(call: Call) -> Response:
    """GET /v2/info"""
    settings = call.marathon.settings
    host, _, number = settings.leader.rpartition(":")
    return answer(
        {
            "name": "marathon",
            "version": settings.version,
            "buildref": "portway",
            "elected": True,
            "leader": settings.leader,
            "frameworkId": call.marathon.world.home_id or None,
            "marathon_config": _config(settings, host),
            "zookeeper_config": {"zk": None, "zk_timeout": None, "zk_session_timeout": None},
            "event_subscriber": None,
            "http_config": {"http_port": int(number or 0), "https_port": None},
        }
    )


def _config(settings: MarathonSettings, host: str) -> dict[str, object]:
    definitions = settings.definitions
    return {
        **dict.fromkeys(_UNSET),
        "hostname": host,
        "env_vars_prefix": settings.env_vars_prefix or None,
        "checkpoint": True,
        "ha": False,
        "features": sorted(definitions.enabled_features),
        "local_port_min": settings.service_ports.first,
        "local_port_max": settings.service_ports.last,
        "default_network_name": definitions.default_network_name,
        "mesos_bridge_name": definitions.mesos_bridge_name,
        "mesos_role": definitions.default_role,
    }


async def show_leader(call: Call) -> Response:
    """GET /v2/leader"""
    return answer({"leader": call.marathon.settings.leader})


async def abdicate(call: Call) -> Response:
    """DELETE /v2/leader"""
    await call.marathon.abdicate()
    return answer({"message": "Leadership abdicated"})


async def list_plugins(call: Call) -> Response:
    """GET /v2/plugins"""
    return answer({"plugins": []})


async def ping(call: Call) -> Response:
    """GET /ping"""
    accepted = [
        one.partition(";")[0].strip().lower()
        for one in call.request.headers.get("accept", "*/*").split(",")
    ]
    for one in accepted:
        match one:
            case "application/json":
                return Response('"pong"', media_type="application/json")
            case "text/html" | "text/plain":
                return Response("pong", media_type=one)
            case "*/*" | "text/*" | "":
                return Response("pong", media_type="text/plain")
            case _:
                continue
    return nothing(204)
