"""The port map as text: one line a listener, its instances behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import click

from portway.cli.tables import width
from portway.controller.views import MapEndpoint, MapRoute

_SERVING = frozenset({"ready", "published"})


def map_lines(routes: Sequence[MapRoute], *, columns: int | None = None) -> list[str]:
    """Lines `  URL  ->  app   HOST:PORT -> web.1:80 ...`, aligned; wrapped where `columns` is given."""
    heads = [(_where(route), _app(route)) for route in routes]
    where_width = max((width(where) for where, _ in heads), default=0)
    app_width = max((width(app) for _, app in heads), default=0)
    lines: list[str] = []
    for route, (where, app) in zip(routes, heads, strict=True):
        head = f"  {where.ljust(where_width)}  ->  {app.ljust(app_width)}"
        lines += _wrapped(head, [_endpoint(one) for one in route.endpoints], columns)
        if not route.endpoints and not route.note:
            lines[-1] += "   no instance is ready"
        if route.note:
            lines.append(f"      {route.note}")
    return lines


def _where(route: MapRoute) -> str:
    if route.url:
        return route.url
    return f"{route.address or '*'}:{route.service_port}" if route.service_port else "-"


def _app(route: MapRoute) -> str:
    return route.app if route.exposure == "public" else f"{route.app} ({route.exposure})"


def _endpoint(endpoint: MapEndpoint) -> str:
    text = f"{_host(endpoint)} -> {endpoint.slot_name}:{endpoint.container_port}"
    if endpoint.state in _SERVING:
        return text
    return click.style(f"{text} ({endpoint.state})", fg="yellow")


def _host(endpoint: MapEndpoint) -> str:
    if endpoint.host_port:
        return f"{endpoint.host_address}:{endpoint.host_port}"
    return f"{endpoint.target_address}:{endpoint.target_port}"


def _wrapped(head: str, endpoints: Sequence[str], columns: int | None) -> list[str]:
    lines, indent = [head], " " * len(head)
    for endpoint in endpoints:
        too_long = columns is not None and width(lines[-1]) + 3 + width(endpoint) > columns
        if too_long and lines[-1] != head:
            lines.append(indent)
        lines[-1] += f"   {endpoint}"
    return [line.rstrip() for line in lines]
