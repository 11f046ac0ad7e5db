"""`portway ssl`: the certificates on a stack's listeners. The key goes to the server and is never printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from portway.cli import session
from portway.cli.client import converted, segment
from portway.cli.options import complete_target, json_option, stack_option
from portway.cli.stacks import inferred_stack
from portway.cli.tables import table
from portway.cli.times import ago
from portway.controller.views import CertificateView
from portway.core.errors import RequestError

_TARGET = re.compile(r"[^:\s]+:[0-9]+")
_FILE_SIZE_MAX_BYTES = 1024 * 1024

_self_signed = click.option(
    "--self-signed", is_flag=True, help="Make a certificate that nobody else vouches for."
)
_certificate = click.argument("certificate", required=False, metavar="[CERTIFICATE]")
_key = click.argument("key", required=False, metavar="[KEY]")


@click.group("ssl", invoke_without_command=True)
@stack_option
@json_option
@click.pass_context
def command(context: click.Context, stack: str | None, as_json: bool) -> None:
    """Show and change the certificates of a stack's listeners. Without a command: list them."""
    if context.invoked_subcommand is None:
        _say_all(inferred_stack(stack), as_json=as_json)


@command.command("list")
@stack_option
@json_option
@click.pass_context
def list_(context: click.Context, stack: str | None, as_json: bool) -> None:
    """List certificates."""
    _say_all(_stack(context, stack), as_json=as_json)


@command.command("create")
@click.argument("target", metavar="APP:PORT")
@_certificate
@_key
@_self_signed
@stack_option
@json_option
@click.pass_context
def create(
    context: click.Context,
    target: str,
    certificate: str | None,
    key: str | None,
    self_signed: bool,
    stack: str | None,
    as_json: bool,
) -> None:
    """Put a certificate on a listener (web:443 my.crt my.key); several on one are told apart by host name."""
    body = certificate_body(target, certificate, key, self_signed=self_signed)
    answer = session.client().ask("POST", _path(_stack(context, stack)), body=body)
    _say_done(f"Creating SSL listener {target}", answer, as_json=as_json)


@command.command("update")
@click.argument("target", metavar="APP:PORT", shell_complete=complete_target)
@_certificate
@_key
@_self_signed
@stack_option
@json_option
@click.pass_context
def update(
    context: click.Context,
    target: str,
    certificate: str | None,
    key: str | None,
    self_signed: bool,
    stack: str | None,
    as_json: bool,
) -> None:
    """Replace the certificate of a listener; no connection is dropped."""
    body = certificate_body(target, certificate, key, self_signed=self_signed)
    answer = session.client().ask("PUT", _path(_stack(context, stack)), body=body)
    _say_done(f"Updating SSL listener {target}", answer, as_json=as_json)


@command.command("delete")
@click.argument("target", metavar="APP:PORT", shell_complete=complete_target)
@click.option("--name", default="", help="Which of several certificates (see `portway ssl`).")
@stack_option
@json_option
@click.pass_context
def delete(
    context: click.Context, target: str, name: str, stack: str | None, as_json: bool
) -> None:
    """Take a certificate off a listener."""
    query = {"target": checked_target(target), "name": name}
    answer = session.client().ask("DELETE", _path(_stack(context, stack)), query=query)
    _say_done(f"Deleting SSL listener {target}", answer, as_json=as_json)


def certificate_body(
    target: str, certificate: str | None, key: str | None, *, self_signed: bool
) -> dict[str, str]:
    """What to send: both files, or neither for a self-signed one."""
    if self_signed and certificate:
        raise RequestError(
            "A certificate file and --self-signed exclude each other.", hint="Give one of them."
        )
    if not self_signed and not (certificate and key):
        raise RequestError(
            "A certificate needs two files: the certificate and its key.",
            hint=f"portway ssl create {target} my.crt my.key, or --self-signed to try it out.",
        )
    pems = {"certificate_pem": _pem(certificate), "key_pem": _pem(key)}
    return {"target": checked_target(target), **pems}


def checked_target(target: str) -> str:
    """`web:443`, or a RequestError that says what a target looks like."""
    if _TARGET.fullmatch(target):
        return target
    raise RequestError(
        f'"{target}" is not an App and one of its listener ports.', hint="Write it as in: web:443"
    )


def certificate_lines(certificates: Sequence[CertificateView], *, now_ms: int) -> list[str]:
    """The table of certificates."""
    if not certificates:
        return [
            "There are no certificates. Add one with `portway ssl create web:443 my.crt my.key`."
        ]
    rows = [
        (
            one.target,
            one.name,
            ", ".join(one.domains) + " (self-signed)" * one.self_signed,
            _expiry(one.expires_at_ms, now_ms),
        )
        for one in certificates
    ]
    return table(("TARGET", "NAME", "DOMAINS", "EXPIRES"), rows)


def _expiry(expires_at_ms: int, now_ms: int) -> str:
    text = ago(expires_at_ms, now_ms=now_ms)
    return text if expires_at_ms > now_ms else click.style(f"expired {text}", fg="red")


def _pem(name: str | None) -> str:
    if name is None:
        return ""
    path = Path(name)
    try:
        if path.stat().st_size > _FILE_SIZE_MAX_BYTES:
            raise RequestError(f"{name} is too large for a certificate or key.", hint="Is it PEM?")
        return path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{name} is not PEM text.",
            hint=f"Convert it: openssl x509 -inform der -in {name} -out {path.stem}.pem",
        ) from error
    except OSError as error:
        raise RequestError(f"{name} cannot be read: {error.strerror}.") from error


def _say_all(name: str, *, as_json: bool) -> None:
    answer = session.client().ask("GET", _path(name))
    if as_json:
        session.say_json(answer)
        return
    certificates = converted(answer, tuple[CertificateView, ...])
    session.say(certificate_lines(certificates, now_ms=session.now_ms()))


def _say_done(what: str, answer: Any, *, as_json: bool) -> None:
    if as_json:
        session.say_json(answer)
    else:
        session.say(f"{what}... Done.")


def _stack(context: click.Context, stack: str | None) -> str:
    parent = context.parent.params.get("stack") if context.parent else None
    return inferred_stack(stack or parent)


def _path(name: str) -> str:
    return f"/stacks/{segment(name)}/certificates"
