"""The table of rooms in ARCHITECTURE.md, enforced."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "tasks": set(),
    "models": set(),
    "reward": {"models", "tasks"},
    "results": {"tasks"},
    "harness": {"tasks", "models", "reward", "results"},
}
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
                assert rest[0] in MAY_IMPORT[room] | {room}, f"{path}: {name}"
            assert room in RESERVED.get(top, {room}), f"{path}: {name}"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_each_other_relatively(room, repository_files):
    for path in room_files(repository_files, room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] != "latent_tts", f"{path}:{node.lineno}"


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
