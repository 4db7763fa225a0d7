"""The laws of the house, read from the imports: who may know whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("callcenter", "calls", "dashboard")
FILES = sorted(
    path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "migrations" not in path.parts
)
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}

# Rooms of `calls` from the bottom up; each may import those below it and its own.
ORDER = [
    {
        "calls.states",
        "calls.away",
        "calls.courtesy",
        "calls.durations",
        "calls.context",
        "calls.tracing",
        "calls.statements",
    },
    {"calls.models"},
    {"calls.dispatch", "calls.events", "calls.search"},
    {"calls.moves"},
    {"calls.ai"},
    {"calls.ingest"},
    {"calls.records"},
    {"calls.stats", "calls.timeline"},
    {"calls.api"},
    {"calls.tasks"},
    {"calls.admin", "calls.management"},
]
ONLY_HERE = {
    "django_q": {"calls.dispatch"},
    "channels": {
        "calls.events.announcer",
        "calls.api.news",
        "calls.api.socket",
        "callcenter.sockets",
        "callcenter.asgi",
    },
}


# Its `save` is a file storage's, which knows no fields.
STORAGE = ROOT / "calls" / "records" / "storage.py"


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def known(name: str) -> str | None:
    """The module of ours that an import names."""
    return next((n for n in (name, f"{name}.__init__") if n in MODULES), None)


EDGES = {
    module: {target for name in imports(parsed(path)) if (target := known(name))}
    for module, path in MODULES.items()
}


def floor(module: str) -> int | None:
    for number, rooms in enumerate(ORDER):
        if any(module == room or module.startswith(f"{room}.") for room in rooms):
            return number
    return None


def test_every_module_of_calls_has_its_floor() -> None:
    homeless = [m for m in MODULES if m.startswith("calls.") and floor(m) is None]
    assert homeless == ["calls.__init__"]


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("calls.")))
def test_calls_imports_only_what_stands_below(module: str) -> None:
    own = floor(module)
    above = {t for t in EDGES[module] if (other := floor(t)) is not None and other > (own or 0)}
    assert not above


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("calls.")))
def test_calls_never_imports_the_rooms_around_it(module: str) -> None:
    strangers = {t for t in EDGES[module] if t.startswith(("dashboard", "callcenter"))}
    assert not strangers


@pytest.mark.parametrize("package", sorted(ONLY_HERE))
def test_a_library_is_known_to_its_own_room_only(package: str) -> None:
    users = {
        module
        for module, path in MODULES.items()
        if any(n == package or n.startswith(f"{package}.") for n in imports(parsed(path)))
    }
    assert users <= ONLY_HERE[package]


def test_the_ai_client_is_known_to_the_ai_room_only() -> None:
    users = {m for m in EDGES if "calls.ai.transcription" in EDGES[m]}
    assert all(user.startswith("calls.ai.") for user in users)


def test_there_is_no_circle() -> None:
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"circle: {' → '.join((*trail, module))}"
        if module not in done:
            for target in EDGES[module] - {module}:
                visit(target, (*trail, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_stands_inside_a_function(path: Path) -> None:
    functions = [n for n in ast.walk(parsed(path)) if isinstance(n, ast.FunctionDef)]
    hidden = [name for function in functions for name in imports(function)]
    assert not hidden


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_signal_and_no_save_without_fields(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            fields = {keyword.arg for keyword in node.keywords}
            saves_a_row = node.func.attr == "save" and path != STORAGE
            assert not saves_a_row or "update_fields" in fields, f"line {node.lineno}"
    assert "django.db.models.signals" not in set(imports(parsed(path)))
