"""The table of rooms in ARCHITECTURE.md, read from there and enforced; YAMLs import too."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SHARED = {
    "boxes",
    "differences",
    "errors",
    "files",
    "numerals",
    "registry",
}  # files at the root, which every room may import


def read_table() -> dict[str, set[str]]:
    """Room -> the rooms that it may import, of the table under ARCHITECTURE.md's "Rooms"."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \| `latent_tts[^|]*\|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    return {room: set(re.findall(r"`(\w+)`", cell)) for room, cell in rows}


MAY_IMPORT = read_table()
# Top-level packages -> the rooms that may import them, however late.
RESERVED = {
    "lm_eval": {"harness"},
    "torch": {"models", "reward", "harness"},
    "transformers": {"models", "reward", "harness"},
}


def imported(path: Path) -> set[str]:
    """Absolute dotted names of all imports of a room's file, those inside functions too."""
    package = ("latent_tts", *path.relative_to(ROOT).parent.parts)
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *filter(None, [node.module])))
            names |= {f"{stem}.{alias.name}" for alias in node.names}
    return names


def room_files(repository_files, room):
    return [
        ROOT / file for file in repository_files if file.parts[0] == room and file.suffix == ".py"
    ]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_the_table_allows(room, repository_files):
    files = room_files(repository_files, room)
    assert files
    for path in files:
        for name in imported(path):
            top, *rest = name.split(".")
            if top == "latent_tts":
                assert rest[0] in MAY_IMPORT[room] | {room} | SHARED, f"{path}: {name}"
            assert room in RESERVED.get(top, {room}), f"{path}: {name}"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_yaml_names_only_rooms_that_its_own_may_import(room, repository_files):
    files = [f for f in repository_files if f.parts[0] == room and f.suffix == ".yaml"]
    for path in files:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"latent_tts\.(\w+)", text):
            assert name in MAY_IMPORT[room] | {room} | SHARED, f"{path}: latent_tts.{name}"


def test_the_table_names_every_room():
    assert set(MAY_IMPORT) == {"harness", "models", "results", "reward", "tasks"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_each_other_relatively(room, repository_files):
    for path in room_files(repository_files, room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] != "latent_tts", f"{path}:{node.lineno}"


@pytest.mark.slow
@pytest.mark.parametrize("room", ["tasks", "results"])
def test_importing_the_room_imports_no_torch(room, repository_files, run_python):
    modules = [
        ".".join(("latent_tts", *path.relative_to(ROOT).with_suffix("").parts))
        for path in room_files(repository_files, room)
        if path.name != "__main__.py"
    ]
    code = "import importlib, sys\n"
    code += "".join(f"importlib.import_module({name!r})\n" for name in modules)
    code += "print({'torch', 'transformers', 'lm_eval'} & set(sys.modules))"
    assert run_python("-c", code).stdout == "set()\n"


def test_no_file_names_a_path_of_the_machine_it_was_written_on(repository_files):
    # Put together here, so that this file passes its own test.
    private = [f"/{name}/".encode() for name in ("work", "opt/venv", "root", "home")]
    for file in repository_files:
        content = (ROOT / file).read_bytes()
        assert not [path for path in private if path in content], file
