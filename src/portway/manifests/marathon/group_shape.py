"""The fields of a group. Apps, pods and groups in it are read one by one, each by its own rules."""

from __future__ import annotations

from portway.manifests.marathon.common_shape import NUMBER, PATH
from portway.manifests.marathon.shape import Anything, Flag, ListOf, Moment, Record, maybe

_ANY = ListOf(item=Anything())

GROUP = Record(
    members={
        "id": maybe(PATH),
        "apps": maybe(_ANY),
        "pods": maybe(_ANY),
        "groups": maybe(_ANY),
        "dependencies": maybe(ListOf(item=PATH, distinct=True)),
        "enforceRole": maybe(Flag()),
        "scaleBy": maybe(NUMBER),
        "version": maybe(Moment()),
    }
)
