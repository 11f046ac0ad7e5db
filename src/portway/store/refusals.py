"""The sentences every store refuses with, so that all of them say the same. Does no I/O."""

from __future__ import annotations

from portway.core.errors import StoreError
from portway.store.base import DocumentChangedError


def changed_elsewhere(app_id: str, *, stored: int, given: int) -> StoreError:
    """The refusal of an AppState that was not made from the one saved last."""
    state = f"saved version {stored}" if stored else "not saved any more"
    return StoreError(
        f'Another portway changed "{app_id}" since this one read it ({state}, expected version {given}).',
        hint="Only one server may write to a store: stop the other one, then start this one again.",
        retryable=False,
    )


def not_open(where: str) -> StoreError:
    """The refusal of a call before `open` or after `close`."""
    return StoreError(
        f"The store {where} is not open.",
        hint="The server is starting or shutting down; ask again when it runs.",
        retryable=False,
    )


def document_changed(kind: str, key: str, *, stored: int, given: int) -> DocumentChangedError:
    """The refusal of a document that was not made from the one saved last."""
    state = f"saved version {stored}" if stored else "not saved"
    wanted = f"version {given}" if given else "none"
    return DocumentChangedError(
        f'"{key}" ({kind}) was changed by another request meanwhile ({state}, expected {wanted}).',
        hint="Look at it again, then repeat the request.",
        retryable=False,
    )
