"""The book that `make book` builds, and the glossaries that it links to."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("terms", ROOT / "docs/book/terms.py")
terms = importlib.util.module_from_spec(spec)
spec.loader.exec_module(terms)

ENGLISH, KOREAN = ROOT / "docs/glossary.md", ROOT / "docs/glossary.ko.md"
NOTEBOOKS = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix()
    for folder in ("", "ko", "solutions")
    for path in (ROOT / "notebooks" / folder).glob("*.ipynb")
)
PAGES = [
    *("README", "README.ko", *NOTEBOOKS),
    *(f"docs/{path.stem}" for path in (ROOT / "docs").glob("*.md")),
]
ROOMS = [
    f"gan_style.{path.parent.name}"
    for path in (ROOT / "gan_style").glob("*/__init__.py")
    if path.parent.name != "utils"
]
NEEDED = ["sphinx", "myst_nb", "sphinx_book_theme", "sphinx-mathjax-offline"]
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


class TestGlossaries:
    @pytest.mark.parametrize("path", [ENGLISH, KOREAN], ids=["english", "korean"])
    def test_every_line_is_read(self, path):
        lines = re.findall("^- ", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(list(terms.read(path))) == len(lines) > 60

    @pytest.mark.parametrize("path", [ENGLISH, KOREAN], ids=["english", "korean"])
    def test_terms_are_in_order_and_each_is_once(self, path):
        entries = list(terms.read(path))
        first = [re.sub(r"\W", "", forms[0].lower()) for _, forms, _ in entries]
        assert first == sorted(first, key=lambda word: (word.isascii(), word))
        forms = Counter(form.lower() for _, forms, _ in entries for form in forms)
        assert set(forms.values()) == {1}

    def test_both_languages_have_the_same_terms(self):
        english, korean = (
            {anchor for anchor, _, _ in terms.read(path)} for path in (ENGLISH, KOREAN)
        )
        assert english == korean

    def test_the_korean_terms_are_those_of_the_chapters(self):
        texts = (ROOT / "notebooks/ko").glob("*.md")
        prose = " ".join(" ".join(text.read_text("utf-8") for text in texts).split())
        unused = {
            forms[0]
            for _, forms, _ in terms.read(KOREAN)
            if not any(form.lower() in prose.lower() for form in forms)
        }
        # Words for what the Korean chapters say in a sentence of their own.
        assert unused <= {"출력 쪽 기울기"}

    def test_plurals_and_capitals_are_found_and_parts_of_words_are_not(self):
        found = terms.Terms(ENGLISH, korean=False).pattern.findall(
            "Gram\nmatrices, Generators and PatchGANs; stepwise, a multi-step CycleGAN"
        )
        assert found == ["Gram\nmatrices", "Generator", "PatchGAN", "CycleGAN"]

    def test_the_longest_term_wins(self):
        one = terms.Terms(ENGLISH, korean=False)
        (match,) = one.pattern.finditer("a style loss")
        assert one.entry(match[1])[0] == "term-style-loss"

    def test_particles_may_follow_a_korean_term(self):
        found = terms.Terms(KOREAN, korean=True).pattern.findall("생성자의 그람 행렬은")
        assert found == ["생성자", "그람 행렬"]


class Page(HTMLParser):
    """What a page asks for, where it links to, and what it says of its figures."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loads, self.terms = set(), [], [], []
        self.figures, self.language, self.inside = [], None, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes.get("id"), attributes.get("name")}
        if tag == "html":
            self.language = attributes["lang"]
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
            if "term" in attributes.get("class", "").split():
                self.terms.append((attributes["href"], attributes["title"]))
                assert not set(self.inside) & {"h1", "h2", "h3", "pre", "code"}
        if tag in ("script", "link", "img", "iframe", "source"):
            wanted = attributes.get("src") or attributes.get("href")
            self.loads += [wanted] if wanted else []
        if tag == "img":
            self.figures.append(attributes)
        if tag in ("h1", "h2", "h3", "pre", "code"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if MISSING:
        pytest.skip(f"the book needs {MISSING}: `make book` installs them")
    folder = tmp_path_factory.mktemp("book")
    command = [*"-m sphinx -q -W --keep-going --conf-dir docs/book -d".split()]
    command += [folder / "doctrees", ".", folder / "site"]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, timeout=600, stderr=subprocess.PIPE
    )
    assert done.returncode == 0, done.stderr.decode()
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site):
    """What the parser finds in each page of the site, by its path."""
    paths = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    return {path: Page(path) for path in paths}


@pytest.mark.slow
class TestSite:
    def test_every_notebook_and_text_is_in_it_and_in_its_contents(self, site):
        assert not [name for name in PAGES if not (site / f"{name}.html").is_file()]
        index = site / "docs/book/index.html"
        linked = {os.path.normpath(index.parent / link) for link in Page(index).links}
        assert {str(site / f"{name}.html") for name in PAGES} <= linked

    def test_the_first_page_leads_to_it(self, site):
        (link,) = Page(site / "index.html").links
        assert (site / link).is_file()

    def test_every_link_and_anchor_resolves(self, site, pages):
        broken = []
        for path, page in pages.items():
            for link in page.links + page.loads:
                if re.match("[a-z]+:", link):
                    continue
                address, anchor = urldefrag(link)
                address = unquote(address.partition("?")[0])
                target = Path(os.path.normpath(path.parent / address))
                target = target if address else path
                if not target.is_file() or (
                    anchor and unquote(anchor) not in pages[target].anchors
                ):
                    broken.append((path.relative_to(site).as_posix(), link))
        assert not broken

    def test_it_asks_no_other_host(self, site, pages):
        asked = [
            (path.name, wanted)
            for path, page in pages.items()
            for wanted in page.loads
            if re.match("(https?:)?//", wanted)
        ]
        for path in site.rglob("*.css"):
            styles = path.read_text(encoding="utf-8")
            wanted = r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')]+)"""
            asked += [(path.name, address) for address in re.findall(wanted, styles)]
        assert not asked

    def test_both_languages_are_searched(self, site):
        index = (site / "searchindex.js").read_text(encoding="utf-8")
        index = json.loads(re.search(r"\((.*)\)", index, re.DOTALL)[1])
        assert "cyclegan" in index["titleterms"]
        # A word of two syllables that particles follow: "손실은", "손실이".
        found = index["terms"]["손실"] + index["titleterms"]["손실"]
        korean = ["notebooks/ko/" in index["docnames"][page] for page in found]
        assert sum(korean) >= 4

    @pytest.mark.parametrize("name", NOTEBOOKS)
    def test_a_notebook_links_each_term_once_to_its_language(self, site, pages, name):
        page = pages[site / f"{name}.html"]
        assert page.language == ("ko" if terms.is_korean(name) else "en")
        glossary = "docs/glossary.ko.html" if "/ko/" in name else "docs/glossary.html"
        linked = [link for link, _ in page.terms]
        assert len(set(linked)) == len(linked)
        assert all(glossary in link for link in linked)
        assert all(definition for _, definition in page.terms)
        if re.search(r"/0\d_", name) and "solutions" not in name:
            assert len(linked) > 20

    @pytest.mark.parametrize("name", NOTEBOOKS)
    def test_figures_keep_their_texts(self, site, pages, name):
        figures = pages[site / f"{name}.html"].figures
        figures = [figure for figure in figures if "_images" in figure["src"]]
        cells = json.loads((ROOT / f"{name}.ipynb").read_text("utf-8"))["cells"]
        texts = {
            about["alt"]
            for cell in cells
            for output in cell.get("outputs", [])
            for about in output.get("metadata", {}).values()
            if "alt" in about
        }
        # Sphinx gives the file's address to a figure that has no text.
        shown = {figure["alt"] for figure in figures}
        assert {" ".join(text.split()) for text in texts} <= shown
        assert not [figure for figure in figures if figure["alt"] in figure["src"]]

    def test_the_reference_has_all_public_names(self, site):
        from sphinx.util.inventory import InventoryFile

        inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
        known = {name for kind in inventory.data.values() for name in kind}
        missing = [
            name
            for room in ("gan_style", *ROOMS)
            for name in importlib.import_module(room).__all__
            if f"gan_style.{name}" not in ROOMS
            if name not in ("samples", "exercises")  # modules
            if not {f"{room}.{name}", f"gan_style.{name}"} & known
        ]
        assert not missing and "gan_style.exercises.check" in known
