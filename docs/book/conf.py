"""The book: chapters in both languages, reference, glossary; `make book` builds it.

    sphinx-build --conf-dir docs/book . build/book

The source folder is the repository itself, so that every page lies where its file lies
and the links between notebooks, README and docs hold. The pages ask no other host for
anything: scripts, styles and MathJax are copied from installed packages.

It is Sphinx with MyST-NB, which is what Jupyter Book 1 is made of, but in the versions
of today; Jupyter Book 2 (MyST) needs Node.js and its packages beside Python.
"""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

BOOK = Path(__file__).parent
ROOT = BOOK.parents[1]
sys.path[:0] = [str(ROOT), str(BOOK)]

project = "gan_style"
author = "the authors of gan_style"
root_doc = "docs/book/index"
include_patterns = ["README*.md", "docs/**", "notebooks/**"]
exclude_patterns = ["notebooks/ko/*.md", "**/outputs/**", "**/.ipynb_checkpoints/**"]
# The table of contents names a folder that may be empty. Sphinx gives its warning no
# type, so `suppress_warnings` cannot name it.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: "toctree glob pattern" not in record.msg
)

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "glossary",
    "pages",
]

# Notebooks come executed; MyST reads their text, README and docs alike.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
highlight_language = "text"  # of blocks that name no language: commands in a shell

# The reference: what `gan_style` and its rooms list, without what frameworks call.
_called_by_keras = [
    *("on_train_begin", "on_train_end", "on_train_batch_end"),
    *("on_epoch_begin", "on_epoch_end", "call", "get_config"),
]
_called_by_matplotlib = ["get_tightbbox", "set", "show"]
autodoc_default_options = {
    "members": True,
    "exclude-members": ", ".join(_called_by_keras + _called_by_matplotlib),
}
autodoc_member_order = "bysource"
default_role = "py:obj"  # `name` in a docstring links to what is documented
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_param = False  # arguments that share a description stay together
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_title = "gan_style"
html_logo = html_favicon = "_static/logo.svg"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_css_files = ["book.css"]
# One file, which draws formulas as SVG and so needs no fonts.
mathjax_path = "tex-svg.js"
_mathjax = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static/mathjax"
html_static_path = ["_static", str(_mathjax / mathjax_path)]
templates_path = ["_templates"]
html_additional_pages = {"index": "redirect.html"}
html_theme_options = {
    "article_header_end": ["language.html", "article-header-buttons.html"],
    "use_download_button": False,
    "logo": {"text": "gan_style"},
    "footer_content_items": [],
    "navbar_persistent": [],
    "show_navbar_depth": 1,
    "navigation_with_keys": False,
}
