"""Every target there is."""

from __future__ import annotations

from tests.fuzz import faces, manifests, words
from tests.fuzz.base import Target

MODULES = (manifests, words, faces)
TARGETS: tuple[Target, ...] = tuple(target for module in MODULES for target in module.TARGETS)
