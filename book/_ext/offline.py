"""Pages that ask nothing of the network: Jupyter Book adds thebe to every page, with a button for it or without."""

from __future__ import annotations

from sphinx.application import Sphinx


def without_thebe(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Leave out the scripts that could only load thebe from its CDN."""
    scripts = context.get("script_files", [])
    context["script_files"] = [s for s in scripts if "thebe" not in f"{s.filename} {s.attributes.get('body')}".lower()]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", without_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
