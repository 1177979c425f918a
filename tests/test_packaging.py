"""How the package is installed, what with, and from where it can be imported."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TO_RUN = PYPROJECT["project"]["dependencies"]
TO_DEVELOP = PYPROJECT["project"]["optional-dependencies"]["dev"]
FOR_THE_BOOK = PYPROJECT["project"]["optional-dependencies"]["book"]
# Where a distribution and its module have different names.
MODULES = {"pillow": "PIL", "scikit-image": "skimage"}
# Imported where they are found: the extras; what TensorFlow and Jupyter bring along.
OPTIONAL = {"onnx", "onnxruntime", "pillow_heif", "tf2onnx", "torch"}
BROUGHT_ALONG = {"IPython", "google"}


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower()


def requirements():
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#-":
            requirement, _, where = line.partition("#")
            yield requirement.strip(), where.strip()


class TestRequirements:
    def test_both_lists_are_equal(self):
        listed = sorted(requirement for requirement, _ in requirements())
        assert listed == sorted([*TO_RUN, *TO_DEVELOP])

    def test_each_line_says_where_it_is_used(self):
        assert not [requirement for requirement, where in requirements() if not where]

    def test_constraints_hold_a_version_of_each(self):
        constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
        pinned = set(re.findall(r"^([\w.-]+)==", constraints, re.MULTILINE))
        listed = [requirement for requirement, _ in requirements()]
        assert not {name_of(entry) for entry in listed + FOR_THE_BOOK} - pinned

    def test_running_needs_no_tools_of_development(self):
        tools = {"hypothesis", "jupyter", "nbval", "pytest", "pytest-xdist", "ruff"}
        assert tools <= {name_of(requirement) for requirement in TO_DEVELOP}
        assert not tools & {name_of(requirement) for requirement in TO_RUN}

    def test_the_package_imports_what_it_declares(self):
        names = {name_of(requirement) for requirement in TO_RUN}
        known = {MODULES.get(name, name.replace("-", "_")) for name in names}
        known |= {"gan_style", *OPTIONAL, *BROUGHT_ALONG, *sys.stdlib_module_names}
        for path in (ROOT / "gan_style").rglob("*.py"):
            code = path.read_text(encoding="utf-8")
            code = re.sub(r'""".*?"""', "", code, flags=re.DOTALL)
            imported = re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE)
            assert set(imported) <= known, path


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Returns a function that builds a "wheel", "sdist" or "editable", as pip does."""
    pytest.importorskip("hatchling")

    def build(kind):
        folder = tmp_path_factory.mktemp(kind)
        program = f"from hatchling import build; build.build_{kind}({str(folder)!r})"
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
        (path,) = folder.iterdir()
        return path

    return build


class TestBuilds:
    def test_the_wheel_holds_the_package_and_nothing_else(self, build):
        with zipfile.ZipFile(build("wheel")) as archive:
            names = {n for n in archive.namelist() if ".dist-info/" not in n}
        files = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / "gan_style").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert names == files

    def test_the_sdist_holds_tests_notebooks_and_docs(self, build):
        with tarfile.open(build("sdist")) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        assert {"Makefile", "README.md", "constraints.txt", "requirements.txt"} <= names
        ignored = {"outputs", "__pycache__", ".ipynb_checkpoints"}
        for folder in ("benchmarks", "docs", "gan_style", "notebooks", "tests"):
            for kind in ("*.py", "*.md", "*.ipynb", "*.jpg", "data/*"):
                paths = [path.relative_to(ROOT) for path in (ROOT / folder).rglob(kind)]
                files = {p.as_posix() for p in paths if not ignored & set(p.parts)}
                assert files <= names


def environment(folder, wheel):
    """A virtual environment: the packages of this one, and `wheel` installed."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60
    )
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    program = "import sysconfig; print(sysconfig.get_path('purelib'))"
    out = subprocess.run([python, "-c", program], stdout=subprocess.PIPE, text=True)
    site = Path(out.stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # Python reads no .pth files in the folders that a .pth file adds.
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others))
    return python


@pytest.fixture(scope="module")
def editable(build, tmp_path_factory):
    """The interpreter of an environment with an editable install of this clone."""
    return environment(tmp_path_factory.mktemp("editable") / "venv", build("editable"))


@pytest.fixture(scope="module")
def installed(build, tmp_path_factory):
    """The interpreter of an environment with the wheel."""
    return environment(tmp_path_factory.mktemp("installed") / "venv", build("wheel"))


@pytest.fixture(scope="module")
def above(tmp_path_factory):
    """A folder with a clone named gan_style, which is no package but contains one."""
    folder = tmp_path_factory.mktemp("above")
    (folder / "gan_style").symlink_to(ROOT, target_is_directory=True)
    return folder


FIND = "import importlib.util; print(importlib.util.find_spec('gan_style').origin)"
IMPORT = "from gan_style import CycleGAN; print(CycleGAN.__module__)"


def output(python, *arguments, **options):
    options |= {"stdout": subprocess.PIPE, "text": True, "check": True}
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([python, *arguments], env=clean, timeout=120, **options)
    return done.stdout.strip()


class TestFromTheFolderAboveAClone:
    """There the clone's folder is a namespace package of the same name, found first."""

    @pytest.mark.parametrize("way", ["editable", "installed"])
    def test_the_package_is_found(self, way, above, request):
        origin = output(request.getfixturevalue(way), "-c", FIND, cwd=above)
        assert Path(origin).name == "__init__.py"
        assert (ROOT in Path(origin).parents) == (way == "editable")

    def test_a_script_beside_the_clone_finds_it(self, editable, above, tmp_path):
        script = above / "script.py"
        script.write_text(FIND)
        assert output(editable, script, cwd=tmp_path).endswith("__init__.py")

    def test_a_new_interpreter_imports_it(self, editable, above):
        assert output(editable, "-c", IMPORT, cwd=above) == "gan_style.cyclegan"
