"""`portway why`: the way from a name to an answer, hop by hop, and the first hop that is broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from portway.cli import session
from portway.cli.client import ServerAbsent, converted
from portway.cli.options import complete_app, json_option, stack_option
from portway.cli.stacks import named_stack
from portway.core.facts import Diagnosis, Hop, Verdict

_MARKS = {
    Verdict.OK: ("ok", "green"),
    Verdict.BROKEN: ("broken", "red"),
    Verdict.HELD: ("held", "yellow"),
    Verdict.UNKNOWN: ("unknown", "yellow"),
}
_GAP = "  "


@click.command("why")
@click.argument("subject", metavar="APP|INSTANCE|HOST:PORT|URL", shell_complete=complete_app)
@stack_option
@json_option
def command(subject: str, stack: str | None, as_json: bool) -> None:
    """Say why something does not answer: walk the way to it and name the first hop that is broken.

    \b
    portway why web                       an App
    portway why shop/web.1                an instance
    portway why 127.0.0.1:8000            a port, whoever has it
    portway why https://shop.test/login   a URL of this machine

    Exit code 0: it answers. 1: something is broken. 2: nothing is called that.
    """
    diagnosis = _ask(subject, stack)
    if as_json:
        session.say_json(asdict(diagnosis))
    else:
        session.say(why_lines(diagnosis))
    if diagnosis.verdict is not Verdict.OK:
        raise click.exceptions.Exit(1)


def _ask(subject: str, stack: str | None) -> Diagnosis:
    query = {"subject": subject, "stack": _narrowed(subject, stack)}
    try:
        return converted(session.client().ask("GET", "/why", query=query), Diagnosis)
    except ServerAbsent:
        from portway.cli.why_offline import diagnose_without_server

        return diagnose_without_server(subject, session.configuration(), now_ms=session.now_ms())


def _narrowed(subject: str, stack: str | None) -> str:
    """A stack that is only inferred says nothing about an address, or about a name that says its own stack."""
    if stack is None and ("/" in subject or ":" in subject):
        return ""
    return named_stack(stack)


def why_lines(diagnosis: Diagnosis) -> Iterator[str]:
    """The walk, then the sentence."""
    width = max((len(hop.name) for hop in diagnosis.hops), default=0)
    for hop in diagnosis.hops:
        yield from _hop_lines(hop, width)
    if diagnosis.hops:
        yield ""
    word, colour = _MARKS[diagnosis.verdict]
    yield click.style(f"{word.upper()}:", fg=colour, bold=True) + f" {_ended(diagnosis.sentence)}"


def _hop_lines(hop: Hop, width: int) -> Iterator[str]:
    word, colour = _MARKS[hop.verdict]
    first, *more = hop.text.splitlines() or [""]
    yield f"{click.style(f'{word:<7}', fg=colour)}{_GAP}{hop.name:<{width}}{_GAP}{first}"
    indent = " " * (7 + width + 2 * len(_GAP))
    yield from (f"{indent}{line}" for line in more)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
