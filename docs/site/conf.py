"""How `bin/docs` makes pages of docs/*.md (Sphinx reads this file).

The navigation is what docs/index.md says: each `##` there is a caption, and the links below it are its pages. Anchors
are as GitHub makes them, so that the same links work in both places. No page asks another host for anything.
"""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Omnisonic Studio"
extensions = ["myst_parser"]
exclude_patterns = ["site"]
nitpicky = True
# Outside of code there are also words that a program reads.
smartquotes = False
# Some blocks of JSON have an ellipsis where the reader fills in, which is not JSON.
suppress_warnings = ["misc.highlighting_failure"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = project
html_favicon = "../../http/static/favicon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
html_use_index = False
# The studio's colours, on paper and at night (http/static/studio.css). Links are readable on their ground (WCAG AA).
html_theme_options = {
    "top_of_page_buttons": [],
    "light_css_variables": {
        "font-stack": 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
        "font-stack--monospace": 'ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace',
        "color-foreground-primary": "#1d1915",
        "color-foreground-secondary": "#4d453c",
        "color-foreground-muted": "#655b4f",
        "color-foreground-border": "#85796a",
        "color-background-primary": "#faf7f2",
        "color-background-secondary": "#f5f0e8",
        "color-background-hover": "#ece5d9",
        "color-background-border": "#ddd4c6",
        "color-brand-primary": "#7a4a06",
        "color-brand-content": "#7a4a06",
        "color-brand-visited": "#6b4a2c",
        "color-sidebar-link-text": "#4d453c",
        "color-code-background": "#f3ede3",
        "color-code-foreground": "#1d1915",
        "color-inline-code-background": "#efe8dc",
        "color-highlight-on-target": "#f6e3c3",
    },
    "dark_css_variables": {
        "color-foreground-primary": "#f3ede4",
        "color-foreground-secondary": "#cbc1b3",
        "color-foreground-muted": "#b3a898",
        "color-foreground-border": "#81766a",
        "color-background-primary": "#14120f",
        "color-background-secondary": "#1c1916",
        "color-background-hover": "#282420",
        "color-background-border": "#36312a",
        "color-brand-primary": "#f0a13a",
        "color-brand-content": "#f0a13a",
        "color-brand-visited": "#d9b07a",
        "color-sidebar-link-text": "#cbc1b3",
        "color-code-background": "#1c1916",
        "color-code-foreground": "#f3ede4",
        "color-inline-code-background": "#282420",
        "color-highlight-on-target": "#3d2f17",
    },
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

START: Final = "index"
_SECTION: Final = re.compile(r"^## (?P<caption>.+)\n(?P<body>(?:(?!## ).*\n?)*)", re.MULTILINE)
_PAGE: Final = re.compile(r"\]\((?P<page>[\w-]+)\.md\)")


def navigation(start: str) -> str:
    """The navigation as Sphinx wants it (a `toctree` for each caption), from the text of docs/index.md."""
    sections = [(section["caption"], _PAGE.findall(section["body"])) for section in _SECTION.finditer(start)]
    return "\n".join(_toctree(caption, pages) for caption, pages in sections if pages)


def _toctree(caption: str, pages: list[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])


def add_navigation(_app: "Sphinx", page: str, source: list[str]) -> None:
    """Put it at the end of the first page, where Sphinx looks for it; whoever reads the file itself has the links."""
    if page == START:
        source[0] += "\n" + navigation(source[0])


def setup(app: "Sphinx") -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_navigation)
