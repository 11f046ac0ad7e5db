"""Properties of the code itself: its size, its words, its documentation, its tests, and what may never be in it."""

from __future__ import annotations

import ast
import re
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from portway.api.aws.wire.services import SERVICES
from portway.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "portway"
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
FUNCTION_LINES_MEDIAN_MAX = 10

# Modules nobody imports because somebody else starts them.
ENTRY_POINTS = {
    "portway.cli.main": "the console script",
    "portway.cli.__main__": "python -m portway.cli",
    "portway.cli.reference": "writes docs/reference/cli.md",
    "portway.api.aws.reference": "writes docs/reference/aws.md",
    "portway.api.marathon.reference": "writes docs/reference/marathon.md",
    "portway.manifests.ecs_reference": "writes docs/reference/ecs.md",
    "portway.manifests.marathon.reference": "writes docs/reference/marathon-fields.md",
    "portway.store.memory": "the fake that keeps the store's contract; tests open it",
}

# Modules whose functions are described by a table of theirs.
DESCRIBED_ELSEWHERE = {"api/native/handlers.py": "routes.py says of each operation what it does"}

# Modules of the core without a test file of their own name, and the tests that hold them to their rules.
TESTED_ELSEWHERE = {
    "app": ("tests/manifests/test_compose.py", "records without behaviour; the parser makes them"),
    "draft": ("tests/core/test_reconcile.py", "what the planner collects its plan in"),
    "events": ("tests/core/test_reconcile.py", "a record without behaviour"),
    "observed": ("tests/core/test_reconcile.py", "a record without behaviour"),
    "plan": ("tests/core/test_reconcile.py", "records without behaviour"),
    "routes": ("tests/core/test_routing.py", "records without behaviour; routing makes them"),
    "stack": ("tests/controller/test_settle.py", "records without behaviour"),
    "state": ("tests/core/test_reconcile.py", "records without behaviour"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tracked() -> tuple[Path, ...]:
    """Every file git knows that is still there."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("Only git knows which files belong to the project, and there is none here.")
    # Root may look at a clone that is somebody else's.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


@cache
def sources() -> tuple[Path, ...]:
    return tuple(sorted(SRC.rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def shown(path: Path, node: ast.AST | int | None = None) -> str:
    line = node.lineno if isinstance(node, ast.stmt | ast.arg) else node
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(SRC.parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


def statements(path: Path) -> Iterator[ast.stmt]:
    """Every statement of the file, however deep. Expressions hold none, and are most of a tree."""
    waiting: list[ast.AST] = [tree(path)]
    for node in waiting:  # which grows meanwhile
        if isinstance(node, ast.stmt):
            yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())


def functions(path: Path) -> Iterator[Function]:
    return (node for node in statements(path) if isinstance(node, Function))


def length(function: Function) -> int:
    """Its lines, docstring included; decorators are not, for a table of cases is data."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def test_no_file_is_longer_than_a_reader_keeps_in_mind():
    long = {
        shown(p): n
        for p in python_files()
        if (n := len(p.read_text().splitlines())) > FILE_LINES_MAX
    }
    assert long == {}


def test_no_function_is_longer_than_a_screen():
    long = {
        shown(path, function): f"{function.name} has {length(function)} lines"
        for path in python_files()
        if len(path.read_text().splitlines()) > FUNCTION_LINES_MAX
        for function in functions(path)
        if length(function) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_half_of_the_functions_have_at_most_ten_lines():
    sizes = [length(function) for path in sources() for function in functions(path)]
    assert statistics.median(sizes) <= FUNCTION_LINES_MEDIAN_MAX


def test_every_module_says_what_it_is():
    silent = [shown(path) for path in sources() if not ast.get_docstring(tree(path))]
    assert silent == []


def test_every_public_class_and_function_states_its_rule():
    """What needs no docstring of its own is in needs_no_docstring(), and nothing else."""
    silent = [
        f"{shown(path, node)} {name}"
        for path in sources()
        if path.relative_to(SRC).as_posix() not in DESCRIBED_ELSEWHERE
        for name, node, class_ in public_definitions(tree(path))
        if not ast.get_docstring(node) and not needs_no_docstring(node, class_)
    ]
    assert silent == []


def public_definitions(
    module: ast.Module,
) -> Iterator[tuple[str, Function | ast.ClassDef, ast.ClassDef | None]]:
    """Classes and functions of the module, and methods of its public classes, whose names have no underscore."""
    for node in module.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield node.name, node, None
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner, node


def needs_no_docstring(node: Function | ast.ClassDef, class_: ast.ClassDef | None) -> bool:
    """Stubs (a body of `...`); methods of one statement without arguments; methods somebody else documents.

    That is: the name is a documented method of one of our protocols or classes, or the class extends
    one that is not ours and says what the method is for.
    """
    if isinstance(node, ast.ClassDef):
        return False
    if all(isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) for s in node.body):
        return True
    if class_ is None:
        return False
    is_plain = len(node.body) == 1 and len(node.args.args) == 1
    extends_others = any(
        ast.unparse(base).split("[")[0] not in our_classes() for base in class_.bases
    )
    return is_plain or extends_others or node.name in documented_methods()


@cache
def our_classes() -> frozenset[str]:
    nodes = (node for path in sources() for node in statements(path))
    return frozenset(node.name for node in nodes if isinstance(node, ast.ClassDef)) | {
        "Protocol",
        "object",
    }


@cache
def documented_methods() -> frozenset[str]:
    """The methods of our protocols, each of which says what its implementations must do."""
    return frozenset(
        inner.name
        for path in sources()
        for class_ in statements(path)
        if isinstance(class_, ast.ClassDef) and is_protocol(class_) and ast.get_docstring(class_)
        for inner in class_.body
        if isinstance(inner, Function)
    )


def is_protocol(class_: ast.ClassDef) -> bool:
    return any(
        ast.unparse(base) in ("Protocol", "Interface", "TypingProtocol") for base in class_.bases
    )


def test_every_module_of_the_core_has_its_test():
    missing = [
        name
        for path in (SRC / "core").glob("*.py")
        if (name := path.stem) != "__init__"
        and name not in TESTED_ELSEWHERE
        and not list((ROOT / "tests" / "core").glob(f"test_{name}*.py"))
    ]
    assert missing == []


def test_the_exceptions_to_the_core_rule_are_still_needed_and_their_tests_are_there():
    for name, (test, reason) in TESTED_ELSEWHERE.items():
        assert (SRC / "core" / f"{name}.py").exists(), name
        assert (ROOT / test).exists(), test
        assert not list((ROOT / "tests" / "core").glob(f"test_{name}.py")), f"{name} has one now"
        assert reason


def test_a_port_is_never_just_a_port():
    """container_port, host_port and service_port are three numbers; `port` alone would be any of them."""
    bare = [
        f"{shown(path, argument)} {function.name}({argument.arg}: {ast.unparse(argument.annotation)})"
        for path in sources()
        for function in functions(path)
        for argument in arguments(function)
        if argument.annotation is not None and is_bare(argument)
    ]
    assert bare == []


def arguments(function: Function) -> Iterator[ast.arg]:
    every = function.args
    yield from (*every.posonlyargs, *every.args, *every.kwonlyargs)


def is_bare(argument: ast.arg) -> bool:
    annotation = ast.unparse(argument.annotation) if argument.annotation else ""
    number = {"port": r"int|str|Any", "ports": r".*\bint\b.*"}.get(argument.arg)
    return bool(number and re.fullmatch(rf"({number})( \| None)?", annotation))


def test_tests_poll_instead_of_sleeping():
    """A pause inside a polling helper's loop is no synchronisation; everywhere else it is."""
    sleeping = [
        shown(path, call.lineno)
        for path in python_files()
        if path.is_relative_to(ROOT / "tests") and "time.sleep" in path.read_text()
        for call in sleeps_outside_loops(tree(path))
    ]
    assert sleeping == []


def sleeps_outside_loops(node: ast.AST, *, looping: bool = False) -> Iterator[ast.Call]:
    """Calls of time.sleep that are not in a loop with a deadline."""
    for child in ast.iter_child_nodes(node):
        inside = looping or (
            isinstance(child, ast.While | ast.For) and "monotonic" in ast.unparse(child)
        )
        if isinstance(child, ast.Call) and ast.unparse(child.func) == "time.sleep" and not inside:
            yield child
        yield from sleeps_outside_loops(child, looping=inside)


# Written in two parts, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(wor" r"k|roo" r"t)/(?!\.\.\.)\w",
    "the address of a registry": r"\b(pypi\.or"
    r"g|files\.pythonhosted|registry-1\.docker|ghcr\.i"
    r"o)\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_knows_one_machine_or_registry(what: str):
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{shown(path, number)} {line.strip()[:80]}"
        for path in tracked()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


def test_nothing_is_left_to_be_done_later():
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    found = [
        f"{shown(path, number)} {line.strip()[:80]}"
        for path in tracked()
        if path.suffix in (".py", ".md", ".sh", ".toml", ".yml")
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if words.search(line)
    ]
    assert found == []


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def test_no_module_is_dead():
    used = {name for path in sources() for name in imported(path)}
    used |= {f"portway.cli.{entry.module}" for entry in COMMANDS.values()}
    services = {service.name.replace("-", "_") for service in SERVICES}
    used |= {
        module_name(path)
        for path in sources()
        if path.parent.name in services and path.parent.parent.name == "aws"
    }  # operations_of() imports whatever is in them
    dead = [
        name
        for path in sources()
        if (name := module_name(path)) not in used
        and name not in ENTRY_POINTS
        and path.name != "__init__.py"
    ]
    assert dead == []


def imported(path: Path) -> Iterator[str]:
    """Every module the file imports, wherever in it."""
    for node in statements(path):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case _:
                pass
