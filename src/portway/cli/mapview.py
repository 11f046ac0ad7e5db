"""The port map as text: one line a listener, its instances behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import click

from portway.cli.tables import width
from portway.controller.views import MapEndpoint, MapRoute

_SERVING = frozenset({"ready", "published", "healthy"})


def map_lines(routes: Sequence[MapRoute], *, columns: int | None = None) -> list[str]:
    """Lines `  URL  ->  app   HOST:PORT -> web.1:80 ...`, aligned; wrapped where `columns` is given.

    Load balancers come last: a line for each listener, below it its rules, `  10: path /x  ->  group   HOST:PORT -> web.1:80`.
    """
    balanced = [route for route in routes if route.load_balancer]
    own = [route for route in routes if not route.load_balancer]
    return _own_lines(own, columns) + _balanced_lines(balanced, columns)


def _own_lines(routes: Sequence[MapRoute], columns: int | None) -> list[str]:
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


def _balanced_lines(routes: Sequence[MapRoute], columns: int | None) -> list[str]:
    rules = [(_rule(route), _group(route)) for route in routes]
    rule_width = max((width(rule) for rule, _ in rules), default=0)
    group_width = max((width(group) for _, group in rules), default=0)
    lines: list[str] = []
    listener: tuple[str, int] | None = None
    said = ""
    for route, (rule, group) in zip(routes, rules, strict=True):
        if listener != (route.address, route.service_port):
            listener, said = (route.address, route.service_port), ""
            where = f"{route.address or '*'}:{route.service_port}"
            lines.append(f"  {route.url}   load balancer {route.load_balancer}, {where}")
        shown, said = ("" if rule == said else rule), rule
        if not route.target_group:
            lines.append(f"      {shown.ljust(rule_width)}  ->  {route.note}".rstrip())
            continue
        head = f"      {shown.ljust(rule_width)}  ->  {group.ljust(group_width)}"
        lines += _wrapped(head, [_endpoint(one) for one in route.endpoints], columns)
        if not route.endpoints:
            lines[-1] += "   it has no targets"
        if route.note:
            lines.append(f"          {route.note}")
    return lines


def _rule(route: MapRoute) -> str:
    return f"{route.rule}: {route.when}" if route.when else route.rule


def _group(route: MapRoute) -> str:
    share = "" if route.weight is None else f" (weight {route.weight})"
    return f"{route.target_group}{share}"


def _where(route: MapRoute) -> str:
    if route.url:
        return route.url
    return f"{route.address or '*'}:{route.service_port}" if route.service_port else "-"


def _app(route: MapRoute) -> str:
    return route.app if route.exposure == "public" else f"{route.app} ({route.exposure})"


def _endpoint(endpoint: MapEndpoint) -> str:
    text = _host(endpoint)
    if endpoint.slot_name:
        text += f" -> {endpoint.slot_name}:{endpoint.container_port}"
    if endpoint.state in _SERVING:
        return text
    why = f": {endpoint.reason}" if endpoint.reason and endpoint.state == "unhealthy" else ""
    return click.style(f"{text} ({endpoint.state}{why})", fg="yellow")


def _host(endpoint: MapEndpoint) -> str:
    if endpoint.host_port and endpoint.host_address:
        return f"{endpoint.host_address}:{endpoint.host_port}"
    return f"{endpoint.target_address or endpoint.target}:{endpoint.target_port}"


def _wrapped(head: str, endpoints: Sequence[str], columns: int | None) -> list[str]:
    lines, indent = [head], " " * len(head)
    for endpoint in endpoints:
        too_long = columns is not None and width(lines[-1]) + 3 + width(endpoint) > columns
        if too_long and lines[-1] != head:
            lines.append(indent)
        lines[-1] += f"   {endpoint}"
    return [line.rstrip() for line in lines]
