"""The documents' links lead somewhere, all pages are in the navigation, and the site of bin/docs asks nobody else."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.documents import DOCUMENTS, ROOT, broken_links, read_page

PAGES: Final = [path for path in DOCUMENTS if path.parent.name == "docs"]
COMPARISON: Final = ROOT / "docs/comparison.md"
LISTING: Final = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINES_ELSEWHERE: Final = {"Phoenix": 3}
"""Of the server, in files that the system's generator writes."""
BUILD_S: Final = 120.0
"""Of the whole site, on a busy machine."""
NEEDED: Final = {"sphinx": "sphinx", "myst_parser": "myst-parser", "furo": "furo"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    """To a file of this checkout, and to a heading in it where it names one."""
    assert broken_links(document) == []


def test_every_page_is_in_the_navigation() -> None:
    """The first page of the site links to all others, once."""
    pages = [link for link in read_page((ROOT / "docs/index.md").read_text()).links if link.endswith(".md")]
    assert sorted(pages) == sorted(
        path.name for path in DOCUMENTS if path.parent.name == "docs" if path.stem != "index"
    )


def test_a_link_that_leads_nowhere_is_noticed(tmp_path: Path) -> None:
    """So that the tests above can fail: in text, tables, lists, images, references and HTML, but not in code."""
    (tmp_path / "other.md").write_text("# Other\n\n## A `name` of two\n\n## Twice\n\n## Twice\n")
    (tmp_path / "page.md").write_text(
        "# Page\n\n[a](other.md#a-name-of-two) [b](other.md#twice-1) [c](#page) [d](https://example.org/x#y)\n"
        "`[code](lost0.md)` [e](lost1.md) ![f](lost2.png) [g][h] <a href='lost4.md'>i</a> [j](#lost5)\n\n"
        "```sh\n# lost6\n[k](lost7.md)\n```\n\n- [l](other.md#twice-2)\n\n"
        "| a |\n| --- |\n| [m](other.md#lost8) [n](../outside.md) [o](#lost6) |\n\n[h]: lost3.md\n"
    )
    (tmp_path.parent / "outside.md").write_text("# Not of this checkout\n")
    assert broken_links(tmp_path / "page.md", tmp_path) == [
        *("lost1.md", "lost2.png", "lost3.md", "lost4.md", "#lost5", "other.md#twice-2"),
        *("other.md#lost8", "../outside.md", "#lost6"),
    ]


def counted(section: str, *, of_page: bool) -> int:
    """The lines of its listings: the first in JavaScript is the page, the others are the server."""
    listings = [each["body"] for each in LISTING.finditer(section) if each["language"] != "text"]
    chosen = listings[:1] if of_page else listings[1:]
    lines = [line for body in chosen for line in body.splitlines() if line.strip()]
    return len([line for line in lines if not re.match(r"\s*(//|#)", line)])


def test_the_table_of_lines_counts_the_listings() -> None:
    """As its rules say, and each listing of a page is as wide as ours at most."""
    ours = (ROOT / "docs/javascript.md").read_text().partition("## A chat")[2]
    sections = {text.partition("\n")[0]: text for text in COMPARISON.read_text().split("\n## ")[1:]}
    rows = re.findall(r"^\| ([\w-]+)[^|]* \| (\d+) \| (\d+) \|", COMPARISON.read_text(), re.MULTILINE)
    assert len(rows) == 5
    for system, page, server in rows[1:]:
        text = sections[system]
        in_server = counted(text, of_page=False) + LINES_ELSEWHERE.get(system, 0)
        assert (system, int(page), int(server)) == (system, counted(text, of_page=True), in_server)
        assert max(map(len, text.splitlines())) <= max(map(len, ours.partition("## A program")[0].splitlines()))
    assert rows[0] == ("Omnisonic", str(counted(ours, of_page=True)), "0")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built as bin/docs builds them."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: bin/docs installs what makes the site")
    folder = tmp_path_factory.mktemp("site")
    command = re.search(r"-m sphinx (.*)", (ROOT / "bin/docs").read_text())
    assert command is not None
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", *command[1].replace("build/", f"{folder}/").split()],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return folder / "docs"


def test_the_site_is_built_without_a_warning_and_asks_no_other_host(site: Path) -> None:
    """Each document is a page that names every other in its navigation; styles, scripts and fonts are its own."""
    pages = {path.stem for path in PAGES}
    assert pages <= {path.stem for path in site.glob("*.html")}
    page = (site / "realtime.html").read_text()
    assert {name for name in pages if f'href="{name}.html"' in page} == pages - {"realtime"}
    assert "epoch" in (site / "searchindex.js").read_text()
    loaded = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="((?:https?:)?//[^"]+)""")
    imported = re.compile(r"""(?:@import\s*|url\()["']?((?:https?:)?//[^"')]+)""")
    for path in site.rglob("*.html"):
        assert loaded.findall(path.read_text()) == [], path.name
    for path in site.rglob("*.css"):
        assert imported.findall(path.read_text()) == [], path.name
