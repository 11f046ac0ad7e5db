"""The vectors of marathon.jsonl, by kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
_SHARED = ROOT.parent / "shared" / "vectors" / "marathon.jsonl"
_COPY = ROOT / "tests" / "vectors" / "marathon.jsonl"


def vectors(kind: str) -> dict[str, dict[str, Any]]:
    """Those of one kind, by id."""
    path = _SHARED if _SHARED.exists() else _COPY
    rows = (json.loads(line) for line in path.read_text().splitlines() if line.strip())
    return {row["id"]: row for row in rows if row["kind"] == kind}
