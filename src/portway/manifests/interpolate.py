"""$VAR and ${VAR:-default} in manifest values, and .env files. Works on parsed values, never on the whole text.

A name that portway gives every instance (PORT0, HOST...) is only known when the instance starts, so a
plain $PORT0 stays as written where the instance will see it. With an operator (${PORT:-3000}) the
manifest itself says what an unset name means, and that is what it means here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from portway.core.environment import is_known_at_start
from portway.core.errors import ManifestError, Problem
from portway.manifests.tree import Fields, Items, Node, Problems, Scalar, shown

NESTING_MAX = 16
DOTENV_LENGTH_MAX = 1024 * 1024
FILLED_LENGTH_MAX = 4 * 1024 * 1024  # all values of one manifest together

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")


class TemplateError(Exception):
    """A text that is no valid template; `hint` says how to write it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One $NAME or ${NAME<operator><word>}."""

    name: str
    source: str
    operator: str = ""
    word: Template = ()


Template = tuple["str | Variable", ...]


def parse_template(text: str) -> Template:
    """The literal texts and variables of `text`; TemplateError when it is not well formed."""
    template, end = _parse(text, 0, nested=0)
    assert end == len(text), (text, end)
    return template


def variables_of(template: Template) -> Iterator[Variable]:
    """Every variable of a template, those inside defaults too."""
    for part in template:
        if isinstance(part, Variable):
            yield part
            yield from variables_of(part.word)


def _parse(text: str, start: int, *, nested: int) -> tuple[Template, int]:
    """Parse up to the end, or up to the closing brace when `nested`."""
    if nested > NESTING_MAX:
        raise TemplateError("defaults are nested too deep", "Use fewer ${...} inside each other.")
    parts: list[str | Variable] = []
    at = start
    stop = re.compile(r"[$}]") if nested else re.compile(r"[$]")
    while True:
        found = stop.search(text, at)
        if found is None:
            parts.append(text[at:])
            return _joined(parts), len(text)
        parts.append(text[at : found.start()])
        at = found.start()
        if text[at] == "}":
            return _joined(parts), at
        part, at = _variable(text, at, nested=nested)
        parts.append(part)


def _variable(text: str, at: int, *, nested: int) -> tuple[str | Variable, int]:
    following = text[at + 1 : at + 2]
    if following == "$":
        return "$", at + 2
    if following == "{":
        return _braced(text, at, nested=nested)
    name = _NAME.match(text, at + 1)
    if name is None:
        raise TemplateError(
            f"'${shown(following)}' is not a variable",
            "Write $$ for a dollar sign that stays as it is.",
        )
    return Variable(name=name.group(), source=text[at : name.end()]), name.end()


def _braced(text: str, at: int, *, nested: int) -> tuple[Variable, int]:
    name = _NAME.match(text, at + 2)
    if name is None:
        raise TemplateError(
            f"'{shown(text[at : at + 12])}' does not name a variable",
            "Write ${NAME}, or $$ for a dollar sign that stays as it is.",
        )
    end, operator, word = name.end(), "", ()
    if text[end : end + 1] not in ("}", ""):
        operator = next((o for o in _OPERATORS if text.startswith(o, end)), "")
        if not operator:
            raise TemplateError(
                f"'{shown(text[at : end + 1])}' is not a valid substitution",
                "After the name write }, or one of :- - :? ? :+ + and a text.",
            )
        word, end = _parse(text, end + len(operator), nested=nested + 1)
    if text[end : end + 1] != "}":
        raise TemplateError(
            f"'{shown(text[at:])}' has no closing brace",
            "Close it with }, or write $$ for a dollar sign.",
        )
    variable = Variable(name=name.group(), source=text[at : end + 1], operator=operator, word=word)
    return variable, end + 1


def _joined(parts: list[str | Variable]) -> Template:
    return tuple(part for part in parts if part != "")


class Interpolator:
    """Fills variables into a tree; what is missing or malformed is said at the value it stands in."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._filled_length = 0

    def fill(self, node: Node, *, at_start: bool = False) -> Node:
        """The tree with every value filled in. `at_start`: injected names stay as written."""
        match node:
            case Scalar():
                return self._scalar(node, at_start=at_start)
            case Items():
                return replace(
                    node, items=tuple(self.fill(item, at_start=at_start) for item in node.items)
                )
            case Fields():
                entries = {
                    key: self.fill(value, at_start=at_start) for key, value in node.entries.items()
                }
                return replace(node, entries=entries)
            case _:
                return node

    def _scalar(self, node: Scalar, *, at_start: bool) -> Scalar:
        if "$" not in node.value:
            return node
        try:
            template = parse_template(node.value)
        except TemplateError as error:
            node.error(error.message, error.hint)
            return replace(node, value=node.value.replace("$", ""), plain=False)
        text = self._render(template, node, at_start=at_start)
        return replace(node, value=text, plain=False)

    def _render(self, template: Template, node: Node, *, at_start: bool) -> str:
        return "".join(
            self._value(part, node, at_start=at_start) if isinstance(part, Variable) else part
            for part in template
        )

    def _value(self, variable: Variable, node: Node, *, at_start: bool) -> str:
        chosen = _chosen(variable, self._variables.get(variable.name))
        if isinstance(chosen, tuple):
            return self._render(chosen, node, at_start=at_start)
        if chosen is not None:
            return self._within_budget(chosen, node)
        if variable.operator:
            self._say_required(variable, node)
        elif at_start and is_known_at_start(variable.name):
            return variable.source
        else:
            node.warn(
                f"the variable {variable.name} is not set, so it is empty here",
                f"{how_to_set(variable.name)}, or write ${{{variable.name}:-default}}.",
            )
        return ""

    def _within_budget(self, value: str, node: Node) -> str:
        self._filled_length += len(value)
        if self._filled_length > FILLED_LENGTH_MAX:
            node.error("the manifest is too long once its variables are filled in")
            return ""
        return value

    def _say_required(self, variable: Variable, node: Node) -> None:
        said = self._render(variable.word, node, at_start=False)
        node.error(
            f"the variable {variable.name} is required" + (f": {shown(said)}" if said else ""),
            f"{how_to_set(variable.name)}.",
        )


def how_to_set(name: str) -> str:
    """The advice for a variable that is not set, without its full stop."""
    return (
        f"Set it in .env beside the manifest, or for one command: {shown(name)}=... portway deploy"
    )


def _chosen(variable: Variable, value: str | None) -> str | Template | None:
    """The value, or the word that stands for it; None when neither is there."""
    given = value is not None and (value != "" or not variable.operator.startswith(":"))
    match variable.operator[-1:]:
        case "-":
            return value if given else variable.word
        case "+":
            return variable.word if given else ()
        case "?":
            return value if given else None
        case _:
            return value


def parse_dotenv(
    text: str, file: str, variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables of a .env file; a name without '=' is taken from `variables` when it is there.

    'single quotes' are literal; "double quotes" know \\n \\t \\" \\\\ and may span lines; in them and in
    bare values $NAME and ${NAME:-x} are filled from the lines above and `variables`. ManifestError with the line.
    """
    if len(text) > DOTENV_LENGTH_MAX:
        message = (
            f"the file is too large: {len(text)} characters, at most {DOTENV_LENGTH_MAX} are read"
        )
        raise ManifestError([Problem(message=message, file=file, line=1, column=1)])
    return _DotenvParser(text.removeprefix("\ufeff"), file, variables or {}).parse()


_LINE = re.compile(
    r"[ \t]*(?:export[ \t]+)?(?P<key>[^\s=#'\"]+)?[ \t]*(?P<sign>=?)[ \t]*", re.ASCII
)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$$"}


class _DotenvParser:
    def __init__(self, text: str, file: str, variables: Mapping[str, str]) -> None:
        self._text = text.replace("\r\n", "\n")
        self._problems = Problems(file)
        self._outer = variables
        self._values: dict[str, str] = {}
        self._line = 0

    def parse(self) -> dict[str, str]:
        at = 0
        while at < len(self._text):
            self._line += 1
            at = self._entry(at)
        self._problems.raise_errors()
        return self._values

    def _entry(self, at: int) -> int:
        end = self._end_of_line(at)
        line = self._text[at:end]
        if not line.strip() or line.lstrip().startswith("#"):
            return end + 1
        head = _LINE.match(line)
        key = head.group("key") if head else None
        if head is None or not key or not _KEY.fullmatch(key):
            self._error(f"'{shown(line.strip())}' is not NAME=value", 1)
            return end + 1
        rest = line[head.end() :]
        if not head.group("sign"):
            self._bare(key, rest)
            return end + 1
        if rest[:1] in ("'", '"'):
            return self._quoted(key, at + head.end())
        value = re.split(r"(?:^|[ \t])#", rest, maxsplit=1)[0].strip()
        self._set(key, value)
        return end + 1

    def _bare(self, key: str, rest: str) -> None:
        if rest and not rest.startswith("#"):
            self._error(f"'{shown(key)} {shown(rest)}' is not NAME=value", 1)
        elif key in self._outer:
            self._values[key] = self._outer[key]

    def _quoted(self, key: str, at: int) -> int:
        quote = self._text[at]
        pattern = r"'([^']*)'" if quote == "'" else r'"((?:[^"\\]|\\.)*+)"'
        found = re.compile(pattern, re.DOTALL).match(self._text, at)
        if found is None:
            self._error(f"the value of {key} opens a {quote} that is never closed", 1)
            return len(self._text)
        self._take_quoted(key, found.group(1), literal=quote == "'")
        end = self._end_of_line(found.end())
        self._line += self._text.count("\n", at, found.end())
        rest = self._text[found.end() : end].strip()
        if rest and not rest.startswith("#"):
            self._error(f"'{shown(rest)}' follows the closing quote of {key}", 1)
        return end + 1

    def _take_quoted(self, key: str, value: str, *, literal: bool) -> None:
        if literal:
            self._values[key] = value
        else:
            self._set(
                key,
                re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], "\\" + m[1]), value, flags=re.DOTALL),
            )

    def _set(self, key: str, value: str) -> None:
        try:
            template = parse_template(value)
        except TemplateError:
            self._values[key] = value  # a password may hold any dollar sign
            return
        self._values[key] = self._render(template)

    def _render(self, template: Template) -> str:
        return "".join(
            self._value(part) if isinstance(part, Variable) else part for part in template
        )

    def _value(self, variable: Variable) -> str:
        chosen = _chosen(variable, self._values.get(variable.name, self._outer.get(variable.name)))
        if isinstance(chosen, tuple):
            return self._render(chosen)
        if chosen is None and variable.operator:
            self._error(f"the variable {variable.name} is required here", 1)
        return chosen or ""

    def _end_of_line(self, at: int) -> int:
        end = self._text.find("\n", at)
        return len(self._text) if end < 0 else end

    def _error(self, message: str, column: int) -> None:
        self._problems.error(
            Problem(
                message=message,
                hint="Write NAME=value, one a line; quote a value that holds spaces at its ends, # or line breaks.",
                file=self._problems.file,
                line=self._line,
                column=column,
            )
        )
