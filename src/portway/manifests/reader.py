"""YAML text -> tree of nodes with positions. Refuses before it works: size, depth, number of values.

Scalars stay text, anchors and merge keys are resolved, keys given twice are refused. Opens no files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import yaml

from portway.core.errors import Problem
from portway.manifests.tree import Fields, Items, Node, Path, Problems, Scalar, shown

SIZE_MAX_BYTES = 1024 * 1024
DEPTH_MAX = 64
VALUES_MAX = 50_000  # aliases expanded

# What YAML 1.1 allows (section 5.1), which is also what libyaml accepts.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge", "timestamp")
)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explanation:
    """A parser's sentence in plain words. `at_start`: the mistake is where the construct begins, not ends."""

    words: str
    message: str
    hint: str
    at_start: bool = False


_TAB = _Explanation(
    words="\t",
    message="a tab is used where YAML wants spaces",
    hint="Indent with spaces only.",
)
_MISALIGNED = (
    "the indentation does not fit the lines above, or a quote or bracket before it was not closed"
)
_EXPLAINED = (
    _Explanation(
        words="found character that cannot start any token",
        message="this character cannot begin a value",
        hint="Put the value in quotes.",
    ),
    _Explanation(
        words="mapping values are not allowed",
        message="a ':' is not expected here",
        hint="Check that this line is indented like its neighbours, and quote a value that contains ': '.",
    ),
    _Explanation(
        words="could not find expected ':'",
        message="a key without its ':'",
        hint="Write 'key: value', and indent the lines of a longer text.",
        at_start=True,
    ),
    _Explanation(
        words="unexpected end of stream",
        message="this quoted text is never closed",
        hint="Add the closing quote (' or \").",
        at_start=True,
    ),
    _Explanation(
        words="did not find expected ',' or",
        message="this list in [] or map in {} is not closed, or a ',' is missing in it",
        hint="Close it, and separate its values with ','.",
        at_start=True,
    ),
    _Explanation(
        words="did not find expected '-' indicator",
        message="the indentation does not fit the list above",
        hint="Begin every value of the list with '- ', all at the same indentation.",
    ),
    _Explanation(
        words="did not find expected key",
        message=_MISALIGNED,
        hint="Line this key up with its neighbours.",
    ),
    _Explanation(
        words="expected <block end>",
        message=_MISALIGNED,
        hint="Line this key up with its neighbours.",
    ),
    _Explanation(
        words="unknown escape character",
        message="a backslash in double quotes begins an escape that does not exist",
        hint="Use single quotes, or write \\\\ for one backslash.",
        at_start=True,
    ),
    _Explanation(
        words="did not find expected node content",
        message="a value is expected here",
        hint="Remove the stray bracket or comma, or put the value in quotes.",
    ),
)


def decode_manifest(data: bytes, *, file: str) -> str:
    """Bytes of a manifest as text; ManifestError when they are too many or not UTF-8."""
    problems = Problems(file)
    if len(data) > SIZE_MAX_BYTES:
        problems.fail(_too_large(file, len(data)))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode("utf-8", "replace")) + 1
        problem = Problem(
            message=f"the file is not UTF-8 text (byte 0x{data[error.start]:02x})",
            hint="Save it in the encoding UTF-8.",
            file=file,
            line=before.count(b"\n") + 1,
            column=column,
        )
        problems.fail(problem)


def read_tree(text: str, *, problems: Problems) -> Node:
    """The tree of one YAML document; ManifestError at once when it is not one."""
    text = text.removeprefix("\ufeff")
    _refuse_size(text, problems)
    _refuse_characters(text, problems)
    root = _Composer(problems).compose(text)
    return _Grower(problems).grow(root, where=Path(), depth=0)


def _refuse_size(text: str, problems: Problems) -> None:
    if len(text) > SIZE_MAX_BYTES:
        problems.fail(_too_large(problems.file, len(text)))
    size_bytes = len(text.encode("utf-8", "replace"))
    if size_bytes > SIZE_MAX_BYTES:
        problems.fail(_too_large(problems.file, size_bytes))


def _too_large(file: str, size_bytes: int) -> Problem:
    return Problem(
        message=f"the file is too large: {size_bytes} bytes, at most {SIZE_MAX_BYTES} are read",
        hint="Split it into several stacks.",
        file=file,
        line=1,
        column=1,
    )


def _refuse_characters(text: str, problems: Problems) -> None:
    found = _FORBIDDEN.search(text)
    if not found:
        return
    line_start = text.rfind("\n", 0, found.start()) + 1
    problem = Problem(
        message=f"the file contains the character U+{ord(found.group()):04X}, which no text file has",
        hint="Remove it; in a quoted value write it as an escape.",
        file=problems.file,
        line=text.count("\n", 0, found.start()) + 1,
        column=found.start() - line_start + 1,
    )
    problems.fail(problem)


@dataclass(slots=True, kw_only=True)
class _Raw:
    """One YAML node as written once; an alias is the same object again."""

    kind: type[Scalar | Items | Fields]
    line: int
    column: int
    value: str = ""
    plain: bool = False
    children: list[_Raw] = field(default_factory=list)
    open: bool = True


class _Composer:
    """Events -> raw nodes, without recursion, so that depth is refused before it hurts."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._anchors: dict[str, _Raw] = {}
        self._stack: list[_Raw] = []
        self._root: _Raw | None = None
        self._values = 0
        self._text = ""

    def compose(self, text: str) -> _Raw:
        self._text = text
        try:
            for event in _events(text):
                self._take(event)
        except yaml.YAMLError as error:
            self._problems.fail(self._explain(error))
        if self._root is None:
            self._fail(1, 1, "the file is empty", "Describe at least one service.")
        return self._root

    def _take(self, event: yaml.Event) -> None:
        line, column = _position(event)
        match event:
            case yaml.ScalarEvent():
                self._refuse_tag(event, line, column)
                plain = not event.style and event.tag is None  # libyaml says "", Python says None
                raw = _Raw(
                    kind=Scalar,
                    line=line,
                    column=column,
                    value=event.value,
                    plain=plain,
                    open=False,
                )
                self._add(raw, event.anchor)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._refuse_tag(event, line, column)
                kind = Fields if isinstance(event, yaml.MappingStartEvent) else Items
                raw = _Raw(kind=kind, line=line, column=column)
                self._add(raw, event.anchor)
                self._stack.append(raw)
                if len(self._stack) > DEPTH_MAX:
                    self._fail(line, column, f"values are nested more than {DEPTH_MAX} deep")
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._stack.pop().open = False
            case yaml.AliasEvent():
                self._add(self._anchored(event, line, column), None)
            case yaml.DocumentStartEvent() if self._root is not None:
                hint = "Keep one document a file: remove the '---'."
                self._fail(line, column, "a second document begins here", hint)
            case _:
                pass

    def _add(self, raw: _Raw, anchor: str | None) -> None:
        self._values += 1
        if self._values > VALUES_MAX:
            self._fail(raw.line, raw.column, f"the file holds more than {VALUES_MAX} values")
        if anchor:
            self._anchors[anchor] = raw
        if self._stack:
            self._stack[-1].children.append(raw)
        else:
            self._root = raw

    def _anchored(self, event: yaml.AliasEvent, line: int, column: int) -> _Raw:
        raw = self._anchors.get(event.anchor)
        if raw is None:
            hint = "Define it with &name first, or quote a text that begins with '*'."
            self._fail(line, column, f"the alias *{shown(event.anchor)} is not defined above", hint)
        if raw.open:
            self._fail(line, column, f"the alias *{shown(event.anchor)} contains itself")
        return raw

    def _refuse_tag(self, event: yaml.NodeEvent, line: int, column: int) -> None:
        tag: str | None = getattr(event, "tag", None)
        if tag is not None and tag != "!" and tag not in _TAGS:
            name = tag.replace("tag:yaml.org,2002:", "!!")
            self._fail(line, column, f"the tag {shown(name)} is not understood", "Remove it.")

    def _fail(self, line: int, column: int, message: str, hint: str = "") -> NoReturn:
        problem = Problem(
            message=message, hint=hint, file=self._problems.file, line=line, column=column
        )
        self._problems.fail(problem)

    def _explain(self, error: yaml.YAMLError) -> Problem:
        said = (
            f"{getattr(error, 'context', None) or ''}; {getattr(error, 'problem', None) or error}"
        )
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        explained = next((e for e in _EXPLAINED if e.words in said), None)
        if explained and explained.at_start:
            mark = getattr(error, "context_mark", None) or mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if explained is None or not explained.at_start:
            explained = _TAB if self._tab_before(line, column) else explained
        return Problem(
            message=explained.message
            if explained
            else f"this is not YAML: {shown(said.strip('; '))}",
            hint=explained.hint if explained else "",
            file=self._problems.file,
            line=line,
            column=column,
        )

    def _tab_before(self, line: int, column: int) -> bool:
        lines = self._text.split("\n", line)
        return len(lines) >= line and lines[line - 1][:column].lstrip(" ").startswith("\t")


def _events(text: str) -> Iterator[yaml.Event]:
    return yaml.parse(text, Loader=_LOADER)


def _position(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


class _Grower:
    """Raw nodes -> the tree, each value with its own path; aliases count as often as they are used."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._values = 0

    def grow(self, raw: _Raw, *, where: Path, depth: int) -> Node:
        self._values += 1
        if self._values > VALUES_MAX:
            self._fail(
                raw, f"the file holds more than {VALUES_MAX} values once aliases are filled in"
            )
        if depth > DEPTH_MAX:
            self._fail(raw, f"values are nested more than {DEPTH_MAX} deep")
        if raw.kind is Fields:
            return self._fields(raw, where=where, depth=depth)
        if raw.kind is Items:
            items = tuple(
                self.grow(child, where=Path(where, index), depth=depth + 1)
                for index, child in enumerate(raw.children)
            )
            return Items(
                where=where, line=raw.line, column=raw.column, problems=self._problems, items=items
            )
        return self._scalar(raw, where)

    def _scalar(self, raw: _Raw, where: Path) -> Scalar:
        return Scalar(
            where=where,
            line=raw.line,
            column=raw.column,
            problems=self._problems,
            value=raw.value,
            plain=raw.plain,
            raw=raw.value,
        )

    def _fields(self, raw: _Raw, *, where: Path, depth: int) -> Fields:
        entries: dict[str, Node] = {}
        keys: dict[str, Scalar] = {}
        merged: list[Fields] = []
        for key, value in zip(raw.children[::2], raw.children[1::2], strict=True):
            if key.kind is not Scalar:
                self._fail(key, "a key must be a single word, not a list or a map")
            if key.plain and key.value == "<<":
                merged.extend(self._merged(value, where=where, depth=depth))
                continue
            inner = Path(where, key.value)
            scalar = self._scalar(key, inner)
            if key.value in keys:
                first = keys[key.value]
                scalar.error(
                    f"'{shown(key.value)}' is given twice; it is already on line {first.line}",
                    "Keep one of them.",
                )
                continue
            keys[key.value] = scalar
            entries[key.value] = self.grow(value, where=inner, depth=depth + 1)
        for fields in merged:
            for name, node in fields.entries.items():
                if name not in entries:
                    entries[name], keys[name] = node, fields.keys[name]
        return Fields(
            where=where,
            line=raw.line,
            column=raw.column,
            problems=self._problems,
            entries=entries,
            keys=keys,
        )

    def _merged(self, raw: _Raw, *, where: Path, depth: int) -> Iterator[Fields]:
        for source in raw.children if raw.kind is Items else [raw]:
            if source.kind is not Fields:
                self._fail(source, "'<<' takes a map or a list of maps", "Write <<: *name.")
            node = self.grow(source, where=where, depth=depth + 1)
            assert isinstance(node, Fields), node
            yield node

    def _fail(self, raw: _Raw, message: str, hint: str = "") -> NoReturn:
        problem = Problem(
            message=message, hint=hint, file=self._problems.file, line=raw.line, column=raw.column
        )
        self._problems.fail(problem)
