"""A Sphinx extension for what the book's pages need beside MyST-NB.

- The alternative text of a notebook's figure, which MyST-NB leaves behind.
- Korean pages say that they are Korean; each page links to its other language.
- A search for a Korean word also finds it where a particle follows.
- The reference describes a name once, where it is imported from first.
"""

import inspect
import json
import re
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

from docutils import nodes
from sphinx.search.en import SearchEnglish
from terms import is_korean

import gan_style

MAIN = "docs/book/reference/gan_style"


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
    """Leave out of a room what the page of `gan_style` describes."""
    described = app.env.docname != MAIN and name in gan_style.__all__
    return True if kind == "module" and described else skip


def name_repeated(app, kind, name, module, options, lines):
    """Name in a room's description what the page of `gan_style` describes."""
    if kind == "module" and app.env.docname != MAIN:
        names = set(dir(module)) & set(gan_style.__all__) - {"samples"}
        if links := ", ".join(f":py:obj:`gan_style.{one}`" for one in sorted(names)):
            lines += ["", f"Also here: {links}.", ""]


def signature(app, kind, name, member, options, arguments, returned):
    """Give a class the arguments of its `__init__`, which Keras hides."""
    if kind == "class" and arguments == "(*args, **kwargs)":
        parameters = list(inspect.signature(member.__init__).parameters.values())
        return str(inspect.Signature(parameters[1:])), returned


def to_restructured_text(app, kind, name, member, options, lines):
    """Write what docstrings write more freely as reStructuredText wants it."""

    def code(match):
        text, plural = match.groups()
        if text is None:
            return match[0]
        # `.history` is no link, as many classes have one.
        marked = f"``{text}``" if text.startswith(".") else f"`{text}`"
        return marked + (plural and rf"\ {plural}")

    text = re.sub(r"``.*?``|`([^`]+)`(s\b|)", code, "\n".join(lines))
    lines[:] = text.split("\n")
    for index in range(len(lines) - 1, 0, -1):  # a list needs an empty line before it
        before, line = lines[index - 1], lines[index]
        depths = [len(text) - len(text.lstrip()) for text in (before, line)]
        if line.lstrip().startswith("- ") and before.strip() and depths[0] < depths[1]:
            lines.insert(index, "")


def setup(app):
    app.add_search_language(SearchBoth)
    app.connect("doctree-read", describe_figures)
    app.connect("html-page-context", set_language)
    app.connect("autodoc-skip-member", skip_repeated)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", name_repeated)
    # Before Napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", to_restructured_text, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
