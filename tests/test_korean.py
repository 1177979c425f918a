"""The Korean edition follows the English one, cell by cell."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "notebooks"
spec = importlib.util.spec_from_file_location("build_korean", ROOT / "ko/build.py")
korean = importlib.util.module_from_spec(spec)
spec.loader.exec_module(korean)


def test_every_notebook_has_an_edition():
    assert korean.names() == sorted(path.stem for path in ROOT.glob("*.ipynb"))


@pytest.mark.parametrize("name", korean.names())
class TestEdition:
    def test_every_text_is_translated_as_it_now_is(self, name):
        assert list(korean.problems(name)) == []

    def test_it_is_built_and_code_and_outputs_are_the_english_ones(self, name):
        built = (ROOT / "ko" / f"{name}.ipynb").read_text(encoding="utf-8")
        assert built == korean.build(name)
        pairs = zip(
            json.loads(built)["cells"], korean.english(name)["cells"], strict=True
        )
        assert all(a == b for a, b in pairs if b["cell_type"] == "code")

    def test_formulas_code_and_links_are_kept(self, name):
        translated = korean.translations(name)
        for number, text in korean.prose(korean.english(name)).items():
            both = text, translated[number][1]
            ours, theirs = (
                {" ".join(part.split()) for part in korean.KEPT.findall(one)}
                for one in both
            )
            assert ours <= theirs, number


def test_a_changed_or_missing_text_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(korean, "HERE", tmp_path / "ko")
    (tmp_path / "ko").mkdir()
    cells = [{"cell_type": "markdown", "source": [f"text {i}"]} for i in range(3)]
    (tmp_path / "one.ipynb").write_text(json.dumps({"cells": cells}))
    marks = {0: korean.digest("text 0"), 1: korean.digest("an older text"), 7: "0" * 8}
    (tmp_path / "ko/one.md").write_text(
        "\n".join(f"<!-- cell {i} {mark} -->\n글 {i}\n" for i, mark in marks.items())
    )
    first, second, third = korean.problems("one")
    assert "cell 1 changed in English" in first and korean.digest("text 1") in first
    assert "cell 2 has no translation" in second and "cell 7 is no text" in third
