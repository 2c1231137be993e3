"""The documentation site: Sphinx's configuration. `make docs` builds it into docs/_build."""

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "docs" / "_ext")]

from ssbrepro import __version__  # noqa: E402 - found by the path above

# Of the notebooks: networks as small as theirs keep no second thread busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

project = "ssbrepro"
author = "The ssbrepro authors"
copyright = "The ssbrepro authors, MIT licence"  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    # Ours, in _ext.
    "repository",
    "figures",
    "profiles",
    "commands",
    "benchmark",
    "modules",
]
exclude_patterns = ["_build", "verdicts"]
nitpicky = True
# What is of other libraries has no page here, and nothing is looked up elsewhere while building.
nitpick_ignore_regex = [
    ("py:.*", r"(torch|np|numpy|nn|collections|pathlib|typing|types|lzma|scipy|matplotlib)\..*"),
    ("py:.*", r"NDArray|ArrayLike|LinearOperator|Figure|Axes"),
    ("py:class", r".* .*"),  # the first words of a sentence about what is returned
]
suppress_warnings = [
    "ref.python",  # a name of two things, DataError: one derives from the other, either will do
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # what they show is what this code gives
nb_execution_timeout = 600  # seconds a cell, on a busy machine
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_render_markdown_format = "myst"  # which has tables
nb_execution_show_tb = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"ssbrepro {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["access.js"]
html_copy_source = False
html_show_sourcelink = False
