"""The id of a home, kept beside its store too: with it a new store finds again what ran for one that is lost."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

HOME_ID_NAME = "home-id"


def remembered_home_id(home: Path) -> str:
    """The id this home had; "" when it never had one."""
    with suppress(OSError, ValueError):
        text = (home / HOME_ID_NAME).read_text().strip()
        if re.fullmatch(r"[0-9a-f]{8,64}", text):
            return text
    return ""


def remember_home_id(home: Path, home_id: str) -> None:
    """Write it down, whole or not at all; without room for it (disk full) the next start does."""
    if remembered_home_id(home) == home_id:
        return
    with suppress(OSError):
        draft = home / f"{HOME_ID_NAME}.new"
        draft.touch(mode=0o600)
        draft.write_text(f"{home_id}\n")
        draft.replace(home / HOME_ID_NAME)
