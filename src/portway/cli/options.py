"""Options many commands share, and the completion of names by asking the server. No command lives here."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from portway.core.errors import PortwayError

F = TypeVar("F", bound=Callable[..., Any])


def _names(path: str, key: str) -> Callable[..., list[CompletionItem]]:
    def complete(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [
            CompletionItem(name)
            for name in _fetched(context, path, key)
            if name.startswith(incomplete)
        ]

    return complete


def _fetched(context: click.Context, path: str, key: str) -> list[str]:
    from portway.cli import session
    from portway.cli.client import Client, segment
    from portway.cli.stacks import inferred_stack

    try:
        if "{stack}" in path:
            parent = context.parent.params if context.parent else {}
            stack = inferred_stack(context.params.get("stack") or parent.get("stack"))
            path = path.replace("{stack}", segment(stack))
        answer = Client(session.configuration().socket_path, timeout_s=1).ask("GET", path)
    except (PortwayError, OSError):
        return []  # a completion never shows an error
    if isinstance(answer, dict) and "environment" in answer:
        return list(answer["environment"])
    rows = answer["apps"] if isinstance(answer, dict) else answer
    return list(dict.fromkeys(str(row[key]) for row in rows))


complete_stack = _names("/stacks", "name")
complete_app = _names("/stacks/{stack}", "name")
complete_instance = _names("/instances?stack={stack}", "id")
complete_release = _names("/stacks/{stack}/releases", "id")
complete_target = _names("/stacks/{stack}/certificates", "target")
complete_variable = _names("/stacks/{stack}/environment", "")


def _without_separator(
    context: click.Context, parameter: click.Parameter, argv: tuple[str, ...]
) -> tuple[str, ...]:
    """`web -- ls -l` is `web ls -l`: who is used to other tools writes the separator."""
    words = argv[1:] if argv[:1] == ("--",) else argv
    if not words:
        raise click.MissingParameter(ctx=context, param=parameter)
    return words


command_argument = click.argument(
    "argv",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="COMMAND...",
    callback=_without_separator,
)

_stack = click.option(
    "-a",
    "--app",
    "stack",
    metavar="STACK",
    shell_complete=complete_stack,
    help="The stack; else PORTWAY_STACK, the manifest's name, the directory's name.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
_no_wait = click.option("--no-wait", is_flag=True, help="Do not wait until the change is done.")
_until_gone = click.option(
    "--until-gone", is_flag=True, help="Wait also until the old instances have ended."
)


_strategy = (
    click.option(
        "--strategy",
        type=click.Choice(["rolling", "canary", "blue-green"]),
        help="In which order the new release takes over, instead of what the manifest says.",
    ),
    click.option(
        "--canary",
        default="",
        metavar="PERCENTS",
        help="The steps of a canary: 10%, or 5%,25%,50%.",
    ),
    click.option(
        "--bake",
        "bake_s",
        type=float,
        metavar="SECONDS",
        help="How long each step is observed before the next (30).",
    ),
    click.option("--hold", is_flag=True, help="Wait at each step for `portway resume`."),
    click.option(
        "--max-failed",
        default="",
        metavar="PERCENT",
        help="Go back when so many more requests fail than of the old release (5%; 100%: never).",
    ),
)


def strategy_options(function: Callable[..., None]) -> Callable[..., None]:
    """`--strategy`, `--canary`, `--bake`, `--hold`, `--max-failed`; the command gets them as `how`, see strategy_body()."""

    @wraps(function)
    def asked(
        *arguments: Any,
        strategy: str | None,
        canary: str,
        bake_s: float | None,
        hold: bool,
        max_failed: str,
        **more: Any,
    ) -> None:
        how = strategy_body(strategy, canary, bake_s, hold, max_failed)
        function(*arguments, how=how, **more)

    for option in reversed(_strategy):
        asked = option(asked)
    return asked


def strategy_body(
    strategy: str | None, canary: str, bake_s: float | None, hold: bool, max_failed: str = ""
) -> dict[str, Any]:
    """What of them was given, as a request carries it; refused before anything is built or asked."""
    given: dict[str, Any] = {
        "strategy": strategy or "",
        "canary": canary,
        "bake_s": bake_s,
        "hold": hold,
        "max_failed": max_failed,
    }
    body = {
        key: value for key, value in given.items() if value or key == "bake_s" and value is not None
    }
    if body:
        from portway.controller.strategies import check_request
        from portway.controller.views import StrategyRequest

        check_request(StrategyRequest(**body))
    return body


def stack_option(function: F) -> F:
    """`-a/--app STACK`."""
    return _stack(function)


def json_option(function: F) -> F:
    """`--json`."""
    return _json(function)


def no_wait_option(function: F) -> F:
    """`--no-wait`."""
    return _no_wait(function)


def until_gone_option(function: F) -> F:
    """`--until-gone`."""
    return _until_gone(function)
