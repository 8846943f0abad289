"""How Sphinx builds these pages: `sphinx-build -W docs docs/_build`."""

from libensemble.version import __version__

project = "libEnsemble"
author = copyright = "libEnsemble contributors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# The reference's automodule directives, which docstrings in NumPy style feed.
autodoc_default_options = {"members": True, "member-order": "bysource", "ignore-module-all": True}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = False
napoleon_use_ivar = True
# Optional packages need not be there to read their modules' docstrings.
autodoc_mock_imports = ["mpi4py", "globus_compute_sdk", "balsam", "IPython"]

html_theme = "furo"
html_title = f"libEnsemble {__version__}"
html_static_path = []


def keep_drawings(app, what, name, obj, options, lines):
    """Module docstrings hold small drawings, indented like code: say so to Sphinx, which would read them as quotes."""
    if what != "module":
        return
    kept, drawing = [], False
    for line in lines:
        indented = line.startswith("    ")
        if indented and kept and not kept[-1].strip() and not drawing:
            kept += [".. code-block:: text", ""]
        drawing = indented or (drawing and not line.strip())
        kept.append(line)
    lines[:] = kept


def setup(app):
    app.connect("autodoc-process-docstring", keep_drawings)
