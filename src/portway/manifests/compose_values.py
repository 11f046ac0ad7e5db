"""The small languages inside compose values: durations (1m30s), sizes (512m), commands, signals, names."""

from __future__ import annotations

import re
import shlex

from portway.manifests.tree import Fields, Items, Node, Scalar, shown, text_of

NAME_LENGTH_MAX = 63

_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|us|µs|μs|ns|h|m|s|d)")
_UNIT_S = {
    "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(b|[kmgt]?(?:i?b)?)", re.IGNORECASE)
_SIZE_FACTOR = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHELL_WORDS = frozenset(("&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"))
_SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS",
    8: "SIGFPE", 9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE",
    14: "SIGALRM", 15: "SIGTERM", 16: "SIGSTKFLT", 17: "SIGCHLD", 18: "SIGCONT", 19: "SIGSTOP",
    20: "SIGTSTP", 21: "SIGTTIN", 22: "SIGTTOU", 23: "SIGURG", 24: "SIGXCPU", 25: "SIGXFSZ",
    26: "SIGVTALRM", 27: "SIGPROF", 28: "SIGWINCH", 29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS",
}  # fmt: skip
_REALTIME = re.compile(r"SIGRT(MIN(\+([0-9]|1[0-5]))?|MAX(-([0-9]|1[0-4]))?)")
_DURATION_MAX_S = 366 * 86400.0


def parse_duration(text: str) -> float | None:
    """Seconds of a duration such as 1m30s, 500ms or 0; None when it is not one."""
    text = text.strip()
    if text == "0":
        return 0.0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def duration_of(node: Node | None, *, minimum_s: float = 0.0) -> float | None:
    """The seconds of a duration value."""
    text = text_of(node)
    if node is None or text is None:
        return None
    seconds = parse_duration(text)
    if seconds is None:
        hint = f"Write {text.strip()}s for seconds." if text.strip().isdecimal() else ""
        node.error(
            f"'{shown(text)}' is not a duration",
            hint or "Write a number and a unit: 1m30s, 500ms, 2h.",
        )
        return None
    if not minimum_s <= seconds <= _DURATION_MAX_S:
        node.error(f"must be between {minimum_s:g} seconds and one year, not '{shown(text)}'")
        return None
    return seconds


def parse_size(text: str) -> int | None:
    """Bytes of a size such as 512m, 1.5g or 1024 (k, m, g and t are powers of 1024); None when it is not one."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    unit = found.group(2).lower()[:1]
    return int(float(found.group(1)) * _SIZE_FACTOR[unit if unit != "i" else "b"])


def size_of(node: Node | None) -> int | None:
    """The bytes of a size value; it must fit what engines can take."""
    text = text_of(node)
    if node is None or text is None:
        return None
    size_bytes = parse_size(text)
    if size_bytes is None or size_bytes >= 1 << 62:
        node.error(f"'{shown(text)}' is not a size", "Write a number and a unit: 512m, 1.5g, 64k.")
        return None
    return size_bytes


def command_of(node: Node | None) -> tuple[tuple[str, ...] | None, str | None]:
    """The argument vector, and the text when it was written as one string."""
    if node is None:
        return None, None
    if isinstance(node, Items):
        return _argument_list(node), None
    text = text_of(node)
    if text is None:
        return None, None
    words = split_words(node, text)
    for word in words or ():
        if word in _SHELL_WORDS:
            node.warn(
                f"'{word}' is passed to the program as it is: a container's command is not run by a shell",
                'Write command: ["sh", "-c", "..."] to have a shell.',
            )
            break
    return words, text.strip() or None


def split_words(node: Node, text: str) -> tuple[str, ...] | None:
    """The words of a command line, with shell quoting; None (and said) when a quote is not closed."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        node.error(
            f"a quote is not closed in '{shown(text)}'",
            "Close it, or write the command as a list of words.",
        )
        return None


def _argument_list(node: Items) -> tuple[str, ...]:
    words: list[str] = []
    for item in node.items:
        if isinstance(item, Scalar):
            words.append(item.value)
        else:
            text_of(item)  # says what it is instead
    return tuple(words)


def signal_of(node: Node | None) -> str | None:
    """The full name of a signal written as SIGTERM, term or 15."""
    text = text_of(node)
    if node is None or text is None:
        return None
    word = text.strip().upper()
    if word.isascii() and word.isdecimal() and len(word) < 4 and int(word) in _SIGNALS:
        return _SIGNALS[int(word)]
    name = word if word.startswith("SIG") else f"SIG{word}"
    if name in _SIGNALS.values() or _REALTIME.fullmatch(name):
        return name
    node.error(
        f"'{shown(text)}' is not a signal", "Write a name such as SIGTERM, SIGINT or SIGQUIT."
    )
    return None


def name_problem(name: str) -> str:
    """Why `name` cannot name an App, a stack or a network; "" when it can."""
    if len(name) > NAME_LENGTH_MAX:
        return f"'{shown(name)}' is too long: {len(name)} characters, at most {NAME_LENGTH_MAX}"
    if not name.isascii() or not _NAME.fullmatch(name):
        return (
            f"'{shown(name)}' is not a valid name: use letters, digits, '-', '_' and '.', "
            "and begin with a letter or digit"
        )
    if re.search(r"\.[0-9]+$", name):
        return f"'{shown(name)}' ends like the name of an instance ('web.1' is the first instance of 'web')"
    return ""


def name_hint(name: str) -> str:
    """A valid name made of `name`."""
    better = re.sub(r"\.(?=[0-9]+$)", "-", name)
    better = re.sub(r"[^A-Za-z0-9._-]+", "-", better).strip("-._")[:NAME_LENGTH_MAX]
    return f"For instance '{better}'." if better and not name_problem(better) else ""


def refuse(fields: Fields, reasons: dict[str, tuple[str, str]]) -> None:
    """An error for every key that is present and cannot be honoured, with its reason and the fix."""
    for key, (message, hint) in reasons.items():
        if fields.get(key) is not None:
            fields.keys[key].error(message, hint)


def ignore(fields: Fields, reasons: dict[str, str]) -> None:
    """A warning for every key that is present and means nothing here."""
    for key, reason in reasons.items():
        if fields.get(key) is not None:
            fields.keys[key].warn(reason)
