"""Builds the Korean edition: the English notebooks, with their prose translated.

    python notebooks/ko/build.py                # writes notebooks/ko/*.ipynb
    python notebooks/ko/build.py --new NAME     # begins the translation of one

Code cells and outputs are those of the English notebook, to the byte. `NAME.md` holds
the translations: before each, a line `<!-- cell 7 1a2b3c4d -->` gives the number of the
cell and the hash of the English text that it translates. Where that text has changed,
or a cell has no translation, nothing is built and the cells are named.
"""

import argparse
import hashlib
import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
MARK = re.compile(r"^<!-- cell (\d+) ([0-9a-f]{8}) -->\n", re.M)
# What a translation keeps: the targets of links, code, and formulas.
KEPT = re.compile(r"(?<=\]\()[^)\s]+(?=\))|`[^`]+`|\$\$.+?\$\$|\$[^$\n]+\$", re.S)


def names():
    return sorted(path.stem for path in HERE.glob("*.md"))


def english(name):
    return json.loads((HERE.parent / f"{name}.ipynb").read_text(encoding="utf-8"))


def prose(notebook):
    """The texts of the Markdown cells, by the cells' numbers."""
    cells = enumerate(notebook["cells"])
    return {i: "".join(c["source"]) for i, c in cells if c["cell_type"] == "markdown"}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def translations(name):
    """The hashes of the English texts and their translations, by the cells' numbers."""
    _, *parts = MARK.split((HERE / f"{name}.md").read_text(encoding="utf-8"))
    cells = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {int(number): (known, text.strip()) for number, known, text in cells}


def problems(name):
    """A line for each cell whose translation is missing, outdated or left over."""
    originals, translated = prose(english(name)), translations(name)
    for number in sorted({*originals, *translated}):
        known, text = translated.get(number, ("", ""))
        if number not in originals:
            yield f"{name}.md: cell {number} is no text in English"
        elif not text:
            yield f"{name}.md: cell {number} has no translation"
        elif known != digest(originals[number]):
            yield (
                f"{name}.md: cell {number} changed in English. Translate it again, and "
                f"write {digest(originals[number])} in its mark"
            )


def build(name):
    """The Korean notebook, as the text of its file."""
    notebook, translated = english(name), translations(name)
    for number in prose(notebook):
        text = translated[number][1].replace("](../", "](../../")
        text = text.replace("](solutions/", "](../solutions/")
        notebook["cells"][number]["source"] = text.splitlines(keepends=True)
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--new", metavar="NAME", help="a notebook without translations")
    arguments = parser.parse_args()
    if arguments.new:
        cells = prose(english(arguments.new)).items()
        marked = (f"<!-- cell {i} {digest(text)} -->\n{text}\n" for i, text in cells)
        with open(HERE / f"{arguments.new}.md", "x", encoding="utf-8") as file:
            file.write("\n".join(marked))
        return
    if found := [line for name in names() for line in problems(name)]:
        raise SystemExit("\n".join(found))
    for name in names():
        (HERE / f"{name}.ipynb").write_text(build(name), encoding="utf-8")
        print(f"notebooks/ko/{name}.ipynb")


if __name__ == "__main__":
    main()
