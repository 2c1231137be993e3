"""The documentation site: Sphinx's configuration. `make docs` builds it into docs/_build."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "docs" / "_ext")]

from repro import __version__  # noqa: E402 - found by the path above

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
    "commands",
    "benchmark",
    "modules",
]
exclude_patterns = ["_build", "verdicts"]
nitpicky = True
# What is of other libraries has no page here, and nothing is looked up elsewhere while building.
nitpick_ignore_regex = [
    ("py:.*", r"(torch|np|numpy|nn|collections|pathlib|typing|types|scipy|matplotlib)\..*"),
    ("py:.*", r"NDArray|ArrayLike|Figure|Axes"),
    ("py:class", r".* .*"),  # the first words of a sentence about what is returned
]
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True

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
html_js_files = ["scrolling.js"]
html_copy_source = False
html_show_sourcelink = False
templates_path: list[str] = []
