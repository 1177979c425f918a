"""A Sphinx extension that links a chapter's terms to the glossary.

The first time that a notebook uses a term in its prose, the term becomes a link to its
line in `docs/glossary.md` or `docs/glossary.ko.md`, with the definition as its tooltip.
Headings, code, formulas, links and what cells print are left alone.
"""

from docutils import nodes
from terms import Terms, is_korean, read

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


def prose(doctree):
    """The pieces of text that may hold links, in their order and each one whole."""
    for parent in list(doctree.findall(nodes.TextElement)):
        # MyST cuts a text at the ends of its lines.
        for index in range(len(parent) - 1, 0, -1):
            pair = parent[index - 1 : index + 1]
            if all(isinstance(part, nodes.Text) for part in pair):
                parent[index - 1 : index + 1] = [nodes.Text(pair[0] + pair[1])]
    for text in list(doctree.findall(nodes.Text)):
        node = text.parent
        while node and not isinstance(node, LEFT_ALONE):
            if "cell_output" in node.get("classes", ()):
                break
            node = node.parent
        if node is None:
            yield text


def link(app, doctree, docname):
    """Link the first use of each term of a notebook."""
    if not docname.startswith("notebooks/"):
        return
    korean = is_korean(docname)
    terms = app.glossaries[korean]
    page = app.builder.get_relative_uri(docname, GLOSSARIES[korean])
    seen = set()
    for text in prose(doctree):
        parts, end = [], 0
        for match in terms.pattern.finditer(text):
            anchor, definition = terms.entry(match[1])
            if anchor not in seen:
                seen.add(anchor)
                parts.append(nodes.Text(text[end : match.start()]))
                options = {"refuri": f"{page}#{anchor}", "reftitle": definition}
                options |= {"classes": ["term"], "internal": True}
                parts.append(nodes.reference("", match[0], **options))
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
