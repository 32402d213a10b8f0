"""The documentation site: ``sphinx-build docs docs/_build`` with the extra ``docs``.

Pages are the Markdown files of this folder. Before they are read, others are written beside them from their sources:
``notebooks/``, ``reference/``, ``derivations/`` and ``project/`` (:mod:`extensions`), which are not committed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from extensions.repository import version

project = "rgflow"
author = "The rgflow authors"
copyright = "the rgflow authors"  # MIT licence
version = release = version()

extensions = [
    "sphinx.ext.autodoc",
    "extensions.docstrings",
    "sphinx.ext.napoleon",
    "myst_parser",
    "extensions.mathml",
    "extensions.github",
    "extensions.pages",
    "extensions.names",
    "extensions.indices",
]
exclude_patterns = ["_build", "extensions", "**.ipynb"]
nitpicky = True

# Markdown, as on GitHub
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

# Docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstring says more: shapes and domains
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = False
napoleon_custom_sections = [("Attributes", "params_style")]
smartquotes_action = "D"  # dashes alone: a prime stays a prime
add_module_names = False
toc_object_entries_show_parents = "hide"

# The page
html_theme = "furo"
html_title = "rgflow"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["rgflow.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b5fa5",
        "color-brand-content": "#0b5fa5",
        "font-stack": "'Source Sans 3', 'Source Sans Pro', 'Segoe UI', 'Helvetica Neue', Arial, sans-serif",
        "font-stack--monospace": "'Source Code Pro', 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
    },
    "dark_css_variables": {"color-brand-primary": "#7ec8ff", "color-brand-content": "#7ec8ff"},
}
