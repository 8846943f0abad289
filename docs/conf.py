"""How Sphinx builds these pages: `sphinx-build -W docs docs/_build`."""

from docutils import nodes
from sphinx import addnodes

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
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "ignore-module-all": True,  # a name is described where it is defined
    "exclude-members": "model_config, model_post_init",
}
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
    kept, drawing, said = [], False, ""
    for line in lines:
        indented = line.startswith("    ")
        if indented and not drawing and kept and not kept[-1].strip() and not said.endswith("::"):
            kept += [".. code-block:: text", ""]
        drawing = indented or (drawing and not line.strip())
        said = line.rstrip() or said
        kept.append(line)
    lines[:] = kept


def keep_sentences(app, what, name, obj, options, lines):
    """A colon in the sentence on a field is no type's; napoleon looks for one in the first line, here a comment."""
    if what in ("attribute", "data", "property") and lines:
        lines[:0] = ["..", ""]


def show_plain_type(app, domain, objtype, content):
    """Of `Annotated[int, ...]` readers want the int."""
    for signature in content.parent.findall(addnodes.desc_signature):
        for node in signature.findall(addnodes.desc_annotation):
            text = node.astext()
            if text.startswith(": Annotated["):
                node.clear()
                node += nodes.Text(": " + first_argument(text.removeprefix(": Annotated[")))


def first_argument(text):
    """Return `text` up to its first comma that stands in no brackets."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character in "[(") - (character in "])")
        if depth == 0 and character == ",":
            return text[:position]
    return text


def setup(app):
    app.connect("autodoc-process-docstring", keep_drawings)
    app.connect("autodoc-process-docstring", keep_sentences, priority=400)  # before napoleon
    app.connect("object-description-transform", show_plain_type)
