"""The house rules that prose would lose: which room may import which, where heavy packages live, how long is long.

`docs/architecture.md` explains the rooms; the table here is the law.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "wow"

# room -> the rooms it may import besides itself.
NOUNS = {"types", "data", "models", "foundation", "sim", "weights"}
VERBS = {"imagine", "refine", "act", "plan"}
MAY_IMPORT = {
    "types": set(),
    "rotation": set(),
    "weights": {"types"},
    "data": {"types", "rotation"},
    "models": {"types"},
    "sim": {"types"},
    "plan": {"types"},
    "foundation": {"types", "models", "weights"},
    "imagine": {"types", "models"},
    "act": {"types", "rotation", "models"},
    "refine": {"types", "models"},
    "train": {"types", "rotation", "data", "models", "foundation", "imagine", "act", "weights"},
    "bench": {"types", "data"},
    "serve": {"types", "data"},
    "judges": {"types", "sim", "foundation", "refine"},
    "assembly": NOUNS | VERBS | {"judges"},
    "cli": {"types", "data", "sim", "foundation", "train", "bench", "serve", "assembly", "weights"},
}
# package -> the rooms or files it may be imported in.
HOME_OF = {
    "mujoco": ("wow/sim/",),
    "metaworld": ("wow/sim/",),
    "robosuite": ("wow/sim/",),
    "gymnasium": ("wow/sim/",),
    "diffusers": ("wow/foundation/",),
    "transformers": ("wow/foundation/",),
    "peft": ("wow/foundation/",),
    "fastapi": ("wow/serve/",),
    "uvicorn": ("wow/serve/",),
    "tyro": ("wow/cli/",),
    "ray": ("wow/plan/ray.py", "wow/bench/ray_engine.py"),
}
FORBIDDEN = {"pickle", "cloudpickle", "dill", "joblib"}
LONGEST_FILE = 400
LONGEST_FUNCTION = 60

FILES = sorted(path for path in PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(), filename=str(path)) for path in FILES}


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(module: str) -> str:
    """The room of a module of ours: "sim" for "wow.sim.metaworld"; "wow" for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "wow"


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every module that a file imports anywhere, with the line; `from wow import sim` counts as wow.sim."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if base == "wow":
                yield from ((f"wow.{alias.name}", node.lineno) for alias in node.names if alias.name in MAY_IMPORT)
            yield base, node.lineno


def test_every_room_has_a_line_in_the_table() -> None:
    rooms = {room(module_of(path)) for path in FILES} - {"wow"}
    assert rooms <= MAY_IMPORT.keys(), f"new rooms belong in MAY_IMPORT: {sorted(rooms - MAY_IMPORT.keys())}"


def test_the_table_itself_points_one_way() -> None:
    """Taking away rooms that import nothing left must take all of them away: no two rooms need each other."""
    left = {name: set(others) - {name} for name, others in MAY_IMPORT.items()}
    while free := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in free}
    assert not left, f"a circle: {left}"


def test_the_page_on_architecture_shows_this_table() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\|([^|]*)\|", page, flags=re.MULTILINE)
    told = {
        name: set(re.findall(r"`(\w+)`", cell)) | (NOUNS | VERBS if "every" in cell else set()) for name, cell in rows
    }
    assert told == MAY_IMPORT


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_imports_point_one_way(path: Path) -> None:
    here = room(module_of(path))
    allowed = {here, "wow"} | (MAY_IMPORT[here] if here != "wow" else {"assembly", "types"})
    wrong = [
        f"line {line}: {here} imports {name}, but may import only {', '.join(sorted(allowed - {here, 'wow'}))}"
        for name, line in imported(TREES[path])
        if (name == "wow" or name.startswith("wow.")) and room(name) not in allowed
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_heavy_packages_stay_at_home(path: Path) -> None:
    wrong = [
        f"line {line}: {name} lives in {' or '.join(homes)}"
        for name, line in imported(TREES[path])
        if (homes := HOME_OF.get(name.split(".")[0])) and not shown(path).startswith(homes)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_nothing_is_read_by_running_it(path: Path) -> None:
    """No pickle, and `torch.load` only with weights_only=True."""
    wrong = [f"line {line}: {name}" for name, line in imported(TREES[path]) if name.split(".")[0] in FORBIDDEN]
    for call in (node for node in ast.walk(TREES[path]) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "torch.load" and options.get("weights_only") != "True":
            wrong.append(f"line {call.lineno}: torch.load without weights_only=True")
        if options.get("allow_pickle", "False") != "False":
            wrong.append(f"line {call.lineno}: {name} with allow_pickle")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", [path for path in FILES if room(module_of(path)) != "cli"], ids=shown)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.Call)]
    assert not [f"line {call.lineno}" for call in calls if ast.unparse(call.func) in ("print", "sys.stdout.write")]


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_nothing_catches_what_it_cannot_name(path: Path) -> None:
    """A handler for everything is there to tidy up, and then raises again."""
    handlers = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.ExceptHandler)]
    blind = [node for node in handlers if not node.type or ast.unparse(node.type) in ("Exception", "BaseException")]
    assert not [f"line {node.lineno}" for node in blind if ast.unparse(node.body[-1]) != "raise"]


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_files_and_functions_can_be_read_in_one_sitting(path: Path) -> None:
    functions = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    tables = [node for node in TREES[path].body if isinstance(node, ast.Assign | ast.AnnAssign)]
    lengths = {f"{node.name} (line {node.lineno})": length(node) for node in functions}
    # A table is looked up, not read: it counts as one line.
    lines = len(path.read_text().splitlines()) - sum(length(table) - 1 for table in tables)
    assert lines <= LONGEST_FILE, f"{lines} lines, at most {LONGEST_FILE}: a second idea wants a second file"
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_every_file_says_what_it_is(path: Path) -> None:
    assert path.name not in ("utils.py", "common.py", "helpers.py", "misc.py")
    if path.read_text().strip():
        assert ast.get_docstring(TREES[path]), "the first line of a file says what it holds"


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh Python has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("statement", ["import wow", "import wow.types", "import wow.cli.main"])
def test_importing_the_package_loads_nothing_heavy(statement: str) -> None:
    heavy = {"torch", "mujoco", "metaworld", "av", "pyarrow", "PIL", "tyro", "matplotlib", "tokenizers", "diffusers"}
    assert not loaded_by(statement) & heavy


@pytest.mark.parametrize("command", [["-c", "import wow"], ["-m", "wow.cli.main", "--help"]])
def test_starting_takes_less_than_half_a_second(command: list[str]) -> None:
    """Of processor time, the best of five, so that a busy machine is not taken for a slow package."""
    times = []
    for _ in range(5):
        before = os.times()
        subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=ROOT)
        after = os.times()
        children = (after.children_user + after.children_system) - (before.children_user + before.children_system)
        times.append(children)
        if children < 0.5:
            return
    pytest.fail(f"took {min(times):.2f} s")
