"""The documents of this checkout, and where their links lead, read as Markdown and not as lines that look like it."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).parent.parent
DOCUMENTS: Final = (
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "omnisonic/client_js/README.md",
)
_PARSER: Final = MarkdownIt("commonmark", {"html": True}).enable("table")
_TARGETS: Final = {"link_open": "href", "image": "src"}
_IN_HTML: Final = re.compile(r"""\b(?:href|src)=["']([^"']+)["']""")
_ANCHOR_IN_HTML: Final = re.compile(r"""\b(?:id|name)=["']([^"']+)["']""")


@dataclass(frozen=True)
class Page:
    """What one document holds: its `links` as written, and the `anchors` that links may name."""

    links: tuple[str, ...]
    anchors: frozenset[str]


@cache
def read_page(text: str) -> Page:
    """Read a document. Anchors are as GitHub makes them: a second heading of the same words gets `-1`."""
    links: list[str] = []
    anchors: set[str] = set()
    seen: Counter[str] = Counter()
    tokens = _PARSER.parse(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        links += _links(token)
        if token.type == "html_block":
            anchors.update(_ANCHOR_IN_HTML.findall(token.content))
        if before is not None and before.type == "heading_open":
            slug = slug_of(token)
            anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return Page(tuple(links), frozenset(anchors))


def slug_of(heading: Token) -> str:
    """Its words in lower case, without punctuation, joined by hyphens."""
    words = "".join(each.content for each in heading.children or () if each.type in {"text", "code_inline"})
    return re.sub(r"[^\w -]", "", words.lower()).strip().replace(" ", "-")


def broken_links(document: Path, root: Path = ROOT) -> list[str]:
    """The links to files that are not there, or are not of this checkout, and to headings that are not there."""
    page = read_page(document.read_text(encoding="utf-8"))
    return [link for link in page.links if not _leads_somewhere(link, document, root)]


def _links(token: Token) -> Iterator[str]:
    if token.type in _TARGETS:
        yield str(token.attrs[_TARGETS[token.type]])
    elif token.type in {"html_block", "html_inline"}:
        yield from _IN_HTML.findall(token.content)
    for child in token.children or ():
        yield from _links(child)


def _leads_somewhere(link: str, document: Path, root: Path) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return parts.scheme in {"http", "https", "mailto"}
    target = (document.parent / unquote(parts.path)).resolve() if parts.path else document
    if not (target.is_relative_to(root.resolve()) and target.exists()):
        return False
    if not parts.fragment:
        return True
    return target.suffix == ".md" and unquote(parts.fragment) in read_page(target.read_text(encoding="utf-8")).anchors
