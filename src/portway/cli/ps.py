"""`portway ps`: the instances; `portway ps stop`: drain and stop one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from portway.cli import session
from portway.cli.client import Client, converted, segment
from portway.cli.options import complete_instance, json_option, stack_option
from portway.cli.stacks import inferred_stack, named_stack
from portway.cli.steps import app_remark
from portway.cli.tables import coloured, shortened, table
from portway.cli.times import ago
from portway.cli.unread import warn_of_unread
from portway.controller.views import ContainerView, InstanceView, PortView, StackView
from portway.core.errors import RequestError

_HEADINGS = ("ID", "APP", "RELEASE", "HEALTH", "PHASE", "PORTS", "STARTED", "COMMAND")
_COMMAND_WIDTH = 40


@click.group("ps", invoke_without_command=True)
@stack_option
@click.option("--all", "everything", is_flag=True, help="Of every stack.")
@json_option
@click.pass_context
def command(context: click.Context, stack: str | None, everything: bool, as_json: bool) -> None:
    """List instances.

    Without -a and outside a manifest's directory, of every stack.
    """
    if context.invoked_subcommand is not None:
        return
    name = "" if everything else named_stack(stack)
    client = session.client()
    answer = client.ask("GET", "/instances", query={"stack": name})
    warn_of_unread(client)
    if as_json:
        session.say_json(answer)
        return
    now_ms = session.now_ms()
    lines = instance_lines(converted(answer, tuple[InstanceView, ...]), name, now_ms=now_ms)
    session.say(lines + _app_remarks(client, name, now_ms))


@command.command("stop")
@click.argument("instance", shell_complete=complete_instance)
@stack_option
@json_option
@click.pass_context
def stop(context: click.Context, instance: str, stack: str | None, as_json: bool) -> None:
    """Drain and stop one instance; a new one takes its place. INSTANCE: web.1.7, or web.1."""
    parent = context.parent.params.get("stack") if context.parent else None
    name = inferred_stack(stack or parent)
    path = f"/stacks/{segment(name)}/instances/{segment(instance)}/stop"
    answer = session.client().ask("POST", path, body={})
    if as_json:
        session.say_json(answer)
        return
    view = converted(answer, InstanceView)
    session.say(f"Stopping {view.id}... {view.phase}")


def instance_lines(instances: Sequence[InstanceView], stack: str, *, now_ms: int) -> list[str]:
    """The table of instances, then a sentence for each that is not well; `stack` "" adds the STACK column."""
    if not instances:
        return [f"{stack} has no instances." if stack else "There are no instances."]
    rows = [(one.stack, *row) for one in instances for row in _rows(one, now_ms)]
    if stack:
        return table(_HEADINGS, [row[1:] for row in rows]) + _remarks(instances)
    return table(("STACK", *_HEADINGS), rows) + _remarks(instances)


def ports_text(ports: Sequence[PortView]) -> str:
    """`31004->80, 31005->443/tcp`: host_port to container_port; "-" without ports."""
    return ", ".join(_port_text(view) for view in ports) or "-"


def _app_remarks(client: Client, stack: str, now_ms: int) -> list[str]:
    """A line for each App whose deployment stands at a step or is paused, or that is crash looping."""
    try:
        if stack:
            stacks = (client.view(StackView, "GET", f"/stacks/{segment(stack)}"),)
        else:
            stacks = client.view(tuple[StackView, ...], "GET", "/stacks")
    except RequestError:
        return []  # deleted in this moment
    remarks = [
        text if stack else f"{view.name}/{text}"
        for view in stacks
        for app in view.apps
        if (text := app_remark(app, now_ms=now_ms))
    ]
    return ["", *remarks] if remarks else []


def _rows(instance: InstanceView, now_ms: int) -> list[tuple[str, ...]]:
    """The instance, and below it each of its containers where it has several."""
    return [
        _row(instance, now_ms),
        *(_container_row(instance.id, one, now_ms) for one in instance.containers),
    ]


def _container_row(instance_id: str, one: ContainerView, now_ms: int) -> tuple[str, ...]:
    state = one.state if one.exit_code is None else f"{one.state} ({one.exit_code})"
    return (
        f"{instance_id}/{one.name}",
        "",
        "",
        coloured(one.health),
        coloured(state),
        "",
        ago(one.started_at_ms, now_ms=now_ms) if one.started_at_ms else "not yet",
        shortened(one.image, _COMMAND_WIDTH),
    )


def _row(instance: InstanceView, now_ms: int) -> tuple[str, ...]:
    return (
        instance.id,
        instance.app,
        instance.release,
        coloured(_health(instance)),
        coloured(instance.phase),
        ports_text(instance.ports),
        ago(instance.started_at_ms, now_ms=now_ms) if instance.started_at_ms else "not yet",
        shortened(instance.command, _COMMAND_WIDTH),
    )


def _health(instance: InstanceView) -> str:
    """Nobody waits for the health of what is being stopped."""
    gone = instance.phase in ("stopping", "gone")
    return "-" if gone and instance.health == "waiting" else instance.health


def _port_text(view: PortView) -> str:
    outer = f"{view.host_port}->" if view.host_port else ""
    transport = "" if view.protocol == "tcp" else f"/{view.protocol}"
    return f"{outer}{view.container_port}{transport}"


def _remarks(instances: Sequence[InstanceView]) -> list[str]:
    remarks = [f"{one.id}: {remark}" for one in instances if (remark := _remark(one))]
    return ["", *remarks] if remarks else []


def _remark(one: InstanceView) -> str:
    """What is to be said of an instance besides its row."""
    if one.reason:
        return one.reason
    said = [one.health_detail] if one.health in ("unhealthy", "not ready") else []
    if one.unchecked:
        said.append(f"not checked now, so the verdict stays: {one.unchecked}")
    return "; ".join(part for part in said if part)
