"""What of an App's command may be shown: not the values of variables that could be secret. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from portway.core.app import App

MASK = "***"
_SHOWN_LENGTH_MAX = (
    5  # shorter ones are numbers and words like "debug"; masking them would hide everything
)
_SECRET_NAME = re.compile(
    r"PASS|PWD|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|DSN|_URL\b|_URI\b|SALT|CERT", re.IGNORECASE
)


def shown_command(app: App, variables: Mapping[str, str]) -> str:
    """What the App runs, as one would type it. `variables` are the stack's, which are shown by `env` alone."""
    values = _secret_values(app, variables)
    if app.command_text:
        return _masked(app.command_text, values)
    return " ".join(_quoted(_masked(word, values)) for word in app.command or ())


def shown_details(
    details: Mapping[str, str], app: App, variables: Mapping[str, str]
) -> dict[str, str]:
    """What the engine says of an instance, without those values: a process's own command line is part of it."""
    values = _secret_values(app, variables)
    return {name: _masked(text, values) for name, text in details.items()}


def _secret_values(app: App, variables: Mapping[str, str]) -> list[str]:
    values = {value for value in variables.values() if len(value) > _SHOWN_LENGTH_MAX}
    named = {**app.environment, **variables}.items()
    values |= {value for name, value in named if value and _SECRET_NAME.search(name)}
    return sorted(values, key=len, reverse=True)  # one may be part of another


def _masked(text: str, values: Iterable[str]) -> str:
    for value in values:
        text = text.replace(value, MASK)
    return text


def _quoted(word: str) -> str:
    return word if MASK in word else shlex.quote(word)
