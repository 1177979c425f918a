"""How the notebooks are kept; `pytest --nbval` runs them and compares their outputs."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks/solutions").glob("*.ipynb"))
EXERCISE = re.compile(r"exercises\.check\((\w+)\)")


@pytest.fixture(
    params=[*CHAPTERS, *SOLUTIONS], ids=lambda path: f"{path.parent.stem}/{path.stem}"
)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def sources(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_every_chapter_has_solutions():
    names = [path.name for path in CHAPTERS if path.name[0].isdigit()]
    assert names and names == [path.name for path in SOLUTIONS]


@pytest.mark.parametrize("solutions", SOLUTIONS, ids=lambda path: path.stem)
def test_solutions_answer_every_exercise_of_their_chapter(solutions):
    chapter = ROOT / "notebooks" / solutions.name
    asked, answered = (
        EXERCISE.findall("\n".join(sources(nbformat.read(path, 4), "code")))
        for path in (chapter, solutions)
    )
    assert len(asked) >= 3 and asked == answered
    outputs = solutions.read_text(encoding="utf-8")
    for name in asked:
        assert f"{name.removeprefix('my_')}: right." in outputs


def test_runs_on_the_kernel_that_everybody_has(notebook):
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.kernelspec.language == "python"


def test_has_one_title_which_comes_first(notebook):
    titles = re.findall(r"^# .+", "\n".join(sources(notebook, "markdown")), re.M)
    assert len(titles) == 1
    assert notebook.cells[0].source.startswith(titles[0])


def test_cells_are_short(notebook):
    longest = max(sources(notebook, "code"), key=lambda source: source.count("\n"))
    # An idea that is written out, such as a whole train step, may have forty lines.
    assert longest.count("\n") < 40, longest


def test_uses_neither_magics_nor_shell_commands(notebook):
    # Both pass nbval silently where they fail.
    lines = [line for s in sources(notebook, "code") for line in s.splitlines()]
    assert not [line for line in lines if re.match(r"\s*[%!]", line)]


def test_has_one_cell_of_parameters_with_the_quick_profile_as_default(notebook):
    cells = [s for s in sources(notebook, "code") if re.search(r"^PROFILE = ", s, re.M)]
    assert len(cells) == 1
    assert 'get("GAN_STYLE_PROFILE", "quick")' in cells[0]


def test_is_committed_as_it_runs_from_top_to_bottom(notebook):
    counts = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error"]


def test_shows_no_noise_on_stderr_and_no_path_of_one_machine(notebook):
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", cell.source
            text = str(output.get("text", "")) + str(
                output.get("data", {}).get("text/plain", "")
            )
            assert not re.search(r"/(root|home|tmp|work|Users)/", text), cell.source


def test_checks_its_claims(notebook):
    checks = r"^\s*(assert |check\()"
    assert len(re.findall(checks, "\n".join(sources(notebook, "code")), re.M)) >= 5


def test_fits_into_two_megabytes(path):
    assert path.stat().st_size < 2_000_000
