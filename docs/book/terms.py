"""The glossaries as data, and how their terms are found in a text.

A line of a glossary is

    - **term**, **another form**: The definition.

and in Korean `- **용어**(term): 정의.` It may go on in indented lines. Both languages
have the same anchors, which are made of the English term.
"""

import re
from pathlib import Path

LINE = re.compile(r"- (\*\*.+?\*\*)(?:\(([^)]*)\))?: (.+)")


def is_korean(name):
    """Whether a page, by its name without a suffix, is of the Korean edition."""
    return "/ko/" in name or name.endswith(".ko")


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
        escaped = [re.escape(form).replace(r"\ ", r"\s+") for form in longest_first]
        # A particle may follow a Korean word, and only a plural's s an English one.
        end = r"(?![A-Za-z0-9_-])" if korean else r"s?(?![\w-])"
        self.pattern = re.compile(rf"(?<![\w-])({'|'.join(escaped)}){end}", re.I)

    def entry(self, form):
        return self.entries[" ".join(form.lower().split())]
