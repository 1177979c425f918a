"""A Sphinx extension that links a chapter's terms to the glossary.

The first time that a notebook uses a term in its prose, the term becomes a link to its
line in `docs/glossary.md` or `docs/glossary.ko.md`, with the definition as its tooltip.
Headings, code, formulas, links and what cells print are left alone. A line of a glossary
is

    - **term**, **another form**: the definition.

and in Korean `- **용어**(term): 정의`. Plurals are found, too.
"""

import re
from pathlib import Path

from docutils import nodes
from pages import is_korean

LINE = re.compile(r"- (\*\*.+?\*\*)(?:\(([^)]*)\))?: (.+)")
GLOSSARIES = {False: "docs/glossary", True: "docs/glossary.ko"}
LEFT_ALONE = (
    nodes.title,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.reference,
    nodes.image,
    nodes.raw,
)


def read(path):
    """Yield the anchor, the forms and the definition of each line of a glossary."""
    text = re.sub(r"\n  +", " ", Path(path).read_text(encoding="utf-8"))
    for line in text.splitlines():
        if match := LINE.fullmatch(line):
            names, english, definition = match.groups()
            forms = re.findall(r"\*\*(.+?)\*\*", names)
            anchor = re.sub(r"\W+", "-", (english or forms[0]).split(",")[0].lower())
            yield f"term-{anchor}", forms, re.sub(r"[*`]", "", definition)


class Terms:
    """The terms of one language, and how to find them in a text."""

    def __init__(self, path, korean):
        self.entries = {}
        for anchor, forms, definition in read(path):
            for form in forms:
                self.entries[form.lower()] = anchor, definition
        longest_first = sorted(self.entries, key=len, reverse=True)
        forms = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in longest_first)
        # A particle may follow a Korean word; nothing may precede it.
        start, end = (r"(?<![\w-])", "") if korean else (r"(?<![\w-])", r"(?=s?(?![\w-]))")
        self.pattern = re.compile(f"{start}({forms}){end}", re.I)

    def entry(self, form):
        return self.entries[" ".join(form.lower().split())]


def prose(doctree):
    """The pieces of text that may hold links, each one whole."""
    for parent in list(doctree.findall(nodes.TextElement)):
        node = parent
        while node is not None and not isinstance(node, LEFT_ALONE):
            if "cell_output" in node.get("classes", ()):
                break
            node = node.parent if node.parent is not doctree else None
        if node is None:
            # MyST cuts a text at the ends of its lines.
            for index in range(len(parent) - 1, 0, -1):
                pair = parent[index - 1 : index + 1]
                if all(isinstance(part, nodes.Text) for part in pair):
                    parent[index - 1 : index + 1] = [nodes.Text(pair[0] + pair[1])]
            yield from (child for child in parent if isinstance(child, nodes.Text))


def link(app, doctree, docname):
    """Link the first use of each term of a notebook."""
    if not docname.startswith("notebooks/"):
        return
    korean = is_korean(docname)
    terms = app.glossaries[korean]
    page = app.builder.get_relative_uri(docname, GLOSSARIES[korean])
    seen = set()
    for text in list(prose(doctree)):
        parts, end = [], 0
        for match in terms.pattern.finditer(text):
            anchor, definition = terms.entry(match[1])
            if anchor not in seen:
                seen.add(anchor)
                parts += [nodes.Text(text[end : match.start()])]
                parts += [
                    nodes.reference(
                        "",
                        match[1],
                        refuri=f"{page}#{anchor}",
                        reftitle=definition,
                        classes=["term"],
                        internal=True,
                    )
                ]
                end = match.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def add_anchors(app, doctree):
    """Give each line of a glossary the anchor that `link` refers to."""
    if app.env.docname in GLOSSARIES.values():
        path = app.env.doc2path(app.env.docname)
        anchors = {forms[0]: anchor for anchor, forms, _ in read(path)}
        for item in doctree.findall(nodes.list_item):
            item["ids"].append(anchors[item.next_node(nodes.strong).astext()])
    for name in GLOSSARIES.values():
        app.env.note_dependency(app.env.doc2path(name))


def load(app):
    app.glossaries = {
        korean: Terms(app.srcdir / f"{name}.md", korean)
        for korean, name in GLOSSARIES.items()
    }


def setup(app):
    app.connect("builder-inited", load)
    app.connect("doctree-read", add_anchors)
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
