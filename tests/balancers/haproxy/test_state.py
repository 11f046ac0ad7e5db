"""The saved state of HAProxy: what cannot be understood is as if there were none."""

from __future__ import annotations

from pathlib import Path

import pytest

from portway.balancers.haproxy.state import STATE_FILE, SavedState, load_state, save_state


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    save_state(tmp_path, SavedState())
    assert load_state(tmp_path) == SavedState()


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"files": {"\xff": ""}}', b'{"x":' + b"[" * 3000]
)
def test_a_damaged_one_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / STATE_FILE).write_bytes(damage)
    assert load_state(tmp_path) == SavedState()
