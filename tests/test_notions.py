"""docs/notions.md names sections, checks and tests that exist, each where it says.

A row quotes checks in backticks, in its third column. Each is part of a line that
checks or prints, in the section linked last before it in the row.
"""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/notions.md"
HEADING = re.compile("^#+ (.+)$", re.MULTILINE)
LINK_OR_CODE = re.compile(r"\[([^]]+)\]\(([^)]+)\)|`([^`]+)`")
CHECKS = re.compile(r"\bcheck\(|\bassert |\bprint\(")


def rows():
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
        if line.startswith("| ") and cells[0] != "concept":
            yield cells


def anchor(heading):
    """The anchor that the book gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower().replace(" ", "-"))


def sections(path):
    """The headings of a notebook, each with the code cells before the next one."""
    found, code = {}, []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            code.append(source)
        elif cell["cell_type"] == "markdown":
            for heading in HEADING.findall(source):
                assert heading not in found, f"{path.name} has two of {heading!r}"
                code = found[heading] = []
    return found


def lines_with(fragment, cells):
    lines = [line for source in cells for line in source.splitlines()]
    return [line for line in lines if fragment in line]


def node_ids(path):
    """The tests of a file, named as pytest names them."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    yield f"{node.name}::{method.name}"


def test_every_table_has_four_columns_and_every_concept_one_row():
    concepts = [cells[0] for cells in rows()]
    assert {len(cells) for cells in rows()} == {4}
    assert len(concepts) == len(set(concepts)) >= 28


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0][:40])
def test_sections_and_checks_are_where_the_row_says(cells):
    _, taught, checked, _ = cells
    assert "](" in taught
    assert checked.startswith("No check: ") or "`" in checked
    section, notebook = None, None
    for heading, link, fragment in LINK_OR_CODE.findall(f"{taught} {checked}"):
        if heading:
            path, _, target = link.partition("#")
            notebook = sections((PAGE.parent / path).resolve())
            assert heading in notebook
            assert target == anchor(heading)
            section = notebook[heading]
        else:
            (line,) = lines_with(fragment, section)
            assert CHECKS.search(line), line
            everywhere = [cell for cells in notebook.values() for cell in cells]
            assert lines_with(fragment, everywhere) == [line]


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0][:40])
def test_named_tests_exist(cells):
    named = re.findall("`([^`]+)`", cells[3])
    assert named or cells[3] == "none"
    for name in named:
        path, _, node = name.partition("::")
        assert node in set(node_ids(ROOT / path)), name
