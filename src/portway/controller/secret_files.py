"""SecretFiles: what the secrets of task definitions hold, read from the home's folder `secrets` whenever they are asked for.

The file of a secret is called as the secret is in SSM or Secrets Manager. Nothing outside the folder is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from portway.core.errors import RequestError
from portway.manifests.ecs_app import secret_file, secret_key

NAME = "secrets"
SIZE_MAX_BYTES = 64 * 1024  # of a secret in Secrets Manager, too

_PARTS = re.compile(r"[A-Za-z0-9_+=@-][A-Za-z0-9_.+=@-]*(/[A-Za-z0-9_+=@-][A-Za-z0-9_.+=@-]*)*")


class SecretFiles:
    """The folder of a home; without a home there are no secrets."""

    def __init__(self, home: Path | None) -> None:
        self._folder = home / NAME if home is not None else None

    def read(self, names: Iterable[str]) -> Mapping[str, str]:
        """What each `valueFrom` holds; those without a file are left out. RequestError for a file that cannot be used."""
        found = {name: self._value(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def _value(self, value_from: str) -> str | None:
        relative = secret_file(value_from)
        if self._folder is None or not _PARTS.fullmatch(relative):
            return None
        text = self._text(self._folder, relative)
        key = secret_key(value_from)
        if text is None or not key:
            return text
        return _member(text, key, relative)

    def _text(self, folder: Path, relative: str) -> str | None:
        path = folder / relative
        try:
            if not path.resolve().is_relative_to(folder.resolve()):
                return None  # a link that leads out of the folder
            if path.stat().st_size > SIZE_MAX_BYTES:
                told = f"The secret {relative} is larger than {SIZE_MAX_BYTES} bytes."
                raise RequestError(told, hint=f"Shorten {path}.")
            return path.read_text(encoding="utf-8").removesuffix("\n")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError, ValueError) as error:
            hint = f"Make {path} a file with text in UTF-8."
            raise RequestError(f"The secret {relative} cannot be read.", hint=hint) from error


def _member(text: str, key: str, relative: str) -> str:
    """One value of the JSON object that a secret holds."""
    try:
        held: Any = json.loads(text)
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict) or key not in held:
        told = f"The secret {relative} holds no JSON object with the key {key}."
        raise RequestError(told, hint='Write it as {"' + key + '": "..."}.')
    value = held[key]
    return value if isinstance(value, str) else json.dumps(value)
