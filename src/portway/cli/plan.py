"""`portway plan`: what a deploy would change, every port and why; nothing is done."""

from __future__ import annotations

from collections.abc import Sequence

import click

from portway.cli import session
from portway.cli.client import converted, segment
from portway.cli.options import json_option, stack_option
from portway.cli.tables import coloured, table
from portway.controller.views import PlanChange, PlanView, PortView


@click.command("plan")
@click.argument("sources", nargs=-1, metavar="[DIR|FILE...]")
@stack_option
@click.option("--profile", "profiles", multiple=True, help="Also the services of this profile.")
@click.option(
    "-e",
    "--env-file",
    "env_files",
    multiple=True,
    metavar="FILE",
    help="Variables for ${...}, instead of .env.",
)
@json_option
def command(
    sources: tuple[str, ...],
    stack: str | None,
    profiles: tuple[str, ...],
    env_files: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what deploying the manifest in DIR (or FILE) would change, every port and why. Nothing is done."""
    from portway.cli import deploying
    from portway.cli.project import read_project

    project = read_project(
        *(sources or (".",)),
        stack=stack,
        profiles=profiles,
        env_files=env_files,
        stored=deploying.stored_environment,
    )
    client = deploying.server_client(quiet=as_json)
    answer = client.ask("POST", f"/stacks/{segment(project.stack)}/plan", body=project.body())
    if as_json:
        session.say_json(answer)
        return
    deploying.say_warnings(project)
    session.say(plan_lines(converted(answer, PlanView)))


def plan_lines(plan: PlanView) -> list[str]:
    """Every App: what would happen to it and why, its ports, its notes; then a sum."""
    if not plan.changes:
        return [f"{plan.stack} has no Apps: nothing would be done."]
    lines: list[str] = []
    for change in plan.changes:
        lines += [*_change_lines(change), ""]
    if plan.refused:
        lines += [f"A deploy would be refused now: {plan.refused}", ""]
    return [*lines, _sum(plan)]


def _change_lines(change: PlanChange) -> list[str]:
    count = f" ({change.count} instance{'s' * (change.count != 1)})"
    lines = [f"{change.app}: {coloured(change.action)}{count}: {change.why}".removesuffix(": ")]
    lines += [f"  {line}" for line in _port_lines(change.ports)]
    return lines + [f"  note: {note}" for note in change.notes]


def _port_lines(ports: Sequence[PortView]) -> list[str]:
    if not ports:
        return []
    rows = [
        (view.name, _service(view), _host(view), f"{view.container_port}/{view.protocol}", view.exposure, view.why)
        for view in ports
    ]  # fmt: skip
    return table(("PORT", "LISTENER", "HOST", "CONTAINER", "EXPOSURE", "WHY"), rows)


def _service(view: PortView) -> str:
    if view.service_port:
        return f"{view.address or '*'}:{view.service_port}"
    return "none" if view.exposure == "host" else "assigned"


def _host(view: PortView) -> str:
    return str(view.host_port) if view.host_port else "leased"


def _sum(plan: PlanView) -> str:
    counts: dict[str, int] = {}
    for change in plan.changes:
        counts[change.action] = counts.get(change.action, 0) + 1
    if set(counts) == {"unchanged"}:
        return f"{plan.stack}: nothing would change."
    total = ", ".join(
        f"{count} to {action}" for action, count in counts.items() if action != "unchanged"
    )
    same = f", {counts['unchanged']} unchanged" if "unchanged" in counts else ""
    return f"{plan.stack}: {total}{same}. Nothing has been done."
