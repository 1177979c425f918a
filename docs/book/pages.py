"""A Sphinx extension for what the book's pages need beside MyST-NB.

- The alternative text of a notebook's figure, which MyST-NB leaves behind.
- Korean pages say that they are Korean; each page links to its other language.
- A search for a Korean word also finds it where a particle follows.
- The reference describes a name once, where it is imported from first.
"""

import json
import re
from base64 import b64decode
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import gan_style
from docutils import nodes
from sphinx.search.en import SearchEnglish


def is_korean(name):
    return "/ko/" in name or name.endswith(".ko")


def other_language(name):
    """The name that the page has in the other language, if it is translated at all."""
    if name.startswith("notebooks/ko/"):
        return name.replace("/ko/", "/")
    if name.startswith("notebooks/"):
        return name.replace("/", "/ko/", 1)
    return name.removesuffix(".ko") if is_korean(name) else name + ".ko"


def describe_figures(app, doctree):
    """Give the figures of a notebook their alternative texts."""
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix != ".ipynb":
        return
    texts = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            for kind, about in output.get("metadata", {}).items():
                if "alt" in about:
                    data = b64decode("".join(output["data"][kind]))
                    texts[sha256(data).hexdigest()] = about["alt"]
    for image in doctree.findall(nodes.image):
        # MyST-NB names a file after its content.
        if alt := texts.get(Path(image["uri"]).stem):
            image["alt"] = alt


def set_language(app, pagename, templatename, context, doctree):
    """Set the language of a page, and name its translation for the template."""
    if is_korean(pagename):
        context["language"] = "ko"
    if (other := other_language(pagename)) in app.env.found_docs:
        context["other_language"] = other


class SearchBoth(SearchEnglish):
    """English, and Korean: a word counts as its first syllables, too.

    Korean writes particles together with the word, so that a search for one form would
    miss the others.
    """

    def split(self, text):
        words = super().split(text)
        for word in words[:]:
            if re.fullmatch("[가-힣]{3,}", word):
                words += [word[:end] for end in range(2, len(word))]
        return words


def skip_repeated(app, kind, name, member, skip, options):
    """Leave out of a room what the list of `gan_style` has as well."""
    room = app.env.current_document.get("autodoc_module")
    listed = room != "gan_style" and name in gan_style.__all__
    return True if kind == "module" and listed else skip


def list_repeated(app, kind, name, module, options, lines):
    """Name in a room's description what `gan_style` describes."""
    if kind == "module" and name != "gan_style":
        app.env.current_document["autodoc_module"] = name
        names = set(dir(import_module(name))) & set(gan_style.__all__)
        if names := sorted(names - {"samples"}):
            links = ", ".join(f":py:obj:`gan_style.{one}`" for one in names)
            lines += ["", f"Also here: {links}.", ""]


def setup(app):
    app.add_search_language(SearchBoth)
    app.connect("doctree-read", describe_figures)
    app.connect("html-page-context", set_language)
    app.connect("autodoc-skip-member", skip_repeated)
    app.connect("autodoc-process-docstring", list_repeated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
