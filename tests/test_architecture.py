"""The order of the house: its rooms, what may import what, and its size."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gan_style"
# What each room, or file beside the rooms, may import apart from itself.
UP_TO_LAYERS = {"utils", "hardware", "layers"}
UP_TO_TRAINING = {*UP_TO_LAYERS, "models", "evaluation", "training"}
MAY_IMPORT = {
    "utils": set(),
    "hardware": {"utils"},
    "layers": {"utils", "hardware"},
    "models": UP_TO_LAYERS,
    "evaluation": {*UP_TO_LAYERS, "models"},
    "style_transfer": {*UP_TO_LAYERS, "models"},
    "training": {*UP_TO_LAYERS, "models", "evaluation"},
    "datasets": {"utils"},
    "inference": {"utils"},
    "exercises": {"utils"},
    "cyclegan": {*UP_TO_TRAINING, "inference"},
    "pix2pix": {*UP_TO_TRAINING, "inference"},
}
FILES_BESIDE_THE_ROOMS = {"layers", "cyclegan", "pix2pix", "exercises"}
ROOMS = MAY_IMPORT.keys() - FILES_BESIDE_THE_ROOMS
CORE = (
    *("layers.py", "cyclegan.py", "pix2pix.py"),
    *("models/generators.py", "models/discriminators.py"),
    *("style_transfer/losses.py", "style_transfer/objective.py"),
    "style_transfer/transfer.py",
)
OTHER_TESTS = {"helpers", "robustness", "data"}


def python_files(*folders):
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


def dotted(path):
    """`gan_style/training/callbacks.py` as "gan_style.training.callbacks"."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = {dotted(path): path for path in python_files("gan_style")}


def imports(path):
    """(module, name) of each import from the package; name is None for a module.

    Imports within functions count as well.
    """
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:  # relative
                folder = path.parents[node.level - 1].relative_to(ROOT)
                origin = ".".join([*folder.parts, *filter(None, [node.module])])
            for alias in node.names:
                module, name = origin, alias.name
                if f"{module}.{name}" in MODULES:
                    module, name = f"{module}.{name}", None
                if module.split(".")[0] == "gan_style":
                    yield module, name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "gan_style":
                    yield alias.name, None


def room(module):
    """The room of a module, or the name of a file beside the rooms."""
    return module.split(".")[1] if "." in module else None


def is_private(name):
    return bool(name) and name.startswith("_") and not name.startswith("__")


def private_uses(path):
    """Private names that a file takes from modules of the package."""
    for module, name in imports(path):
        if is_private(name):
            yield f"{path.relative_to(ROOT)}: {module}.{name}"
    modules = {m.rpartition(".")[2] for m, name in imports(path) if not name}
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in modules and is_private(node.attr):
                yield f"{path.relative_to(ROOT)}: {node.value.id}.{node.attr}"


def test_the_tree_is_the_table_of_contents():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == ROOMS
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert files == FILES_BESIDE_THE_ROOMS


def test_imports_go_one_way():
    upward = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        if module != "gan_style"
        for other in sorted({other for other, _ in imports(path)})
        if room(other) not in {room(module), *MAY_IMPORT.get(room(module), ())}
    ]
    assert not upward, "\n".join(upward)


def test_no_circle_of_imports():
    # A room's __init__ loads its modules lazily: only what it imports itself counts.
    graph = {m: {o for o, _ in imports(path)} - {m} for m, path in MODULES.items()}
    while leaves := {m for m, others in graph.items() if not others & graph.keys()}:
        graph = {m: others for m, others in graph.items() if m not in leaves}
    assert not graph, sorted(graph)


def test_nothing_imports_a_private_name():
    paths = python_files("gan_style", "tests", "benchmarks")
    uses = [use for path in paths for use in private_uses(path)]
    assert not uses, "\n".join(uses)


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_each_room_says_what_it_is_for(name):
    assert ast.get_docstring(parse(PACKAGE / name / "__init__.py"))


def test_layers_and_models_import_tensorflow_where_they_use_it():
    paths = [PACKAGE / "layers.py", *python_files("gan_style/models")]
    for path in [*paths, *python_files("gan_style/hardware")]:
        for node in parse(path).body:
            names = [alias.name for alias in getattr(node, "names", [])]
            names.append(getattr(node, "module", None) or "")
            assert "tensorflow" not in {name.split(".")[0] for name in names}, path


def test_size():
    lines = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_bytes().splitlines())
        for path in MODULES.values()
    }
    assert not {name: count for name, count in lines.items() if count > 400}
    core = {name: lines[name] for name in CORE}
    assert sum(core.values()) <= 1500, core
    assert sum(lines.values()) <= 9_000, sum(lines.values())


def test_tests_mirror_the_package():
    folders = {path.parent for path in python_files("tests")} - {ROOT / "tests"}
    names = {folder.relative_to(ROOT / "tests").as_posix() for folder in folders}
    assert names <= {*ROOMS, *OTHER_TESTS}


def test_no_test_file_imports_another():
    for path in python_files("tests"):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                names += (getattr(node, "module", None) or "").split(".")
                assert not [n for n in names if n.startswith("test_")], path
