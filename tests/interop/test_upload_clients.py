"""Pages that send files with tus-js-client, @uppy/tus and @uppy/xhr-upload, in a real browser (docs/uploads.md)."""

import signal
import zlib
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page

from tests.http.browsing import CHROMIUM
from tests.interop.their_page import bundle, open_page
from tests.node_packages import NodePackages
from tests.system.studio import Studio

SIZE: Final = 300_000
LARGE: Final = 12 * 2**20
SLOW_BYTES_PER_S: Final = 2**20
SIGN_IN: Final = """async (email) => {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ email, password: "a good password" });
    return (await fetch("/api/auth/callback/credentials", { method: "POST", headers, body })).status;
}"""
NEW_SESSION: Final = """async () => {
    const answer = await fetch("/api/sessions", { method: "POST" });
    return (await answer.json()).session.id;
}"""
CONTENT: Final = """async (id) => {
    const answer = await fetch(`/api/upload/${id}/content`);
    const hash = await crypto.subtle.digest("SHA-256", await answer.arrayBuffer());
    return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def script(node_packages: NodePackages, tmp_path_factory: pytest.TempPathFactory) -> str:
    return bundle(node_packages, "upload_page.js", tmp_path_factory.mktemp("uploading"))


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, studio: Studio, script: str) -> Iterator[Page]:
    """Their page. Whoever looks at it is signed in, as somebody else in each test."""
    page, _ = open_page(browser, f"http://localhost:{studio.visitors.web_port}", script)
    assert page.evaluate(SIGN_IN, f"{zlib.crc32(request.node.name.encode())}@example.com") == 200
    yield page
    page.close()


def kept(page: Page, query: str = "") -> list[dict[str, Any]]:
    """The uploads that there are for who looks at the page, oldest first."""
    listed = page.evaluate("async (query) => (await (await fetch(`/api/upload/list${query}`)).json()).uploads", query)
    return [line["upload"] for line in reversed(listed)]


def holds(page: Page, upload: dict[str, Any], size: int = SIZE) -> bool:
    """Whether it is bit for bit what the page has sent."""
    return bool(page.evaluate(CONTENT, upload["id"]) == page.evaluate("(size) => theirs.digest(size)", size))


def test_tus_js_client_sends_a_file(page: Page) -> None:
    """Its address ends in the upload's id."""
    made = page.evaluate("(size) => theirs.withTus('bass.flac', size)", SIZE)
    (upload,) = kept(page)
    assert (upload["id"], upload["fileName"]) == (made, "bass.flac")
    assert holds(page, upload)


def test_tus_js_client_sends_a_file_in_chunks(page: Page) -> None:
    """Also when it says how long it is only with the last one."""
    for options in ("{ chunkSize: 100_000 }", "{ chunkSize: 100_000, uploadLengthDeferred: true }"):
        page.evaluate(f"(size) => theirs.withTus('bass.flac', size, {options})", SIZE)
    assert [holds(page, upload) for upload in kept(page)] == [True, True]


def test_tus_js_client_that_may_send_nothing_but_post_sends_a_file(page: Page) -> None:
    page.evaluate("(size) => theirs.withTus('bass.flac', size, { overridePatchMethod: true })", SIZE)
    (upload,) = kept(page)
    assert holds(page, upload)


def test_tus_js_client_goes_on_when_the_web_is_started_again(page: Page, studio: Studio) -> None:
    """One request carries the file, and is cut off in the middle; the next begins with what the studio has."""
    begins = list[int]()
    page.on(
        "request", lambda sent: begins.append(int(sent.headers["upload-offset"])) if sent.method == "PATCH" else None
    )
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    line = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW_BYTES_PER_S}
    network.send("Network.emulateNetworkConditions", line)
    page.evaluate("(size) => { theirs.sending = theirs.withTus('long.flac', size); }", LARGE)
    page.wait_for_function("(some) => theirs.progress > some", arg=LARGE // 4)
    assert studio.end("web", signal.SIGTERM) == 0
    network.send("Network.emulateNetworkConditions", line | {"uploadThroughput": -1})
    page.evaluate("() => theirs.sending")
    (upload,) = kept(page)
    assert holds(page, upload, LARGE)
    assert begins[0] == 0
    assert 0 < begins[-1] < LARGE


def test_tus_js_client_is_told_what_is_not_there(page: Page) -> None:
    """In the studio's own sentence, and nothing is kept."""
    reported = page.evaluate(
        "(size) => theirs.withTus('bass.flac', size, { parallelUploads: 2, retryDelays: null }).catch(String)", SIZE
    )
    assert "concat" in reported.lower()
    assert "unsupported_tus_extension" in reported
    assert kept(page) == []


def test_each_brings_its_file_into_a_session(page: Page) -> None:
    """By the session's id in what it says of the file."""
    session = page.evaluate(NEW_SESSION)
    page.evaluate("(sessionId) => { theirs.meta = { sessionId }; }", session)
    page.evaluate("(size) => theirs.withTus('first.flac', size)", SIZE)
    page.evaluate("(size) => theirs.withUppyTus([['second.flac', size]])", SIZE)
    page.evaluate("(size) => theirs.withUppyXhr([['third.flac', size]])", SIZE)
    assert [(upload["fileName"], upload["sessionId"]) for upload in kept(page, f"?sessionId={session}")] == [
        ("first.flac", session),
        ("second.flac", session),
        ("third.flac", session),
    ]


def test_uppy_tus_sends_several_files(page: Page) -> None:
    """By the names that it was given."""
    files = [["drums.flac", SIZE], ["bass.flac", SIZE + 1]]
    assert page.evaluate("(files) => theirs.withUppyTus(files)", files) == {
        "sent": ["drums.flac", "bass.flac"],
        "refused": [],
    }
    uploads = kept(page)
    assert {upload["fileName"] for upload in uploads} == {"drums.flac", "bass.flac"}
    assert all(holds(page, upload, upload["fileSize"]) for upload in uploads)


def test_uppy_xhr_upload_sends_several_files(page: Page) -> None:
    """A form for each."""
    files = [["drums.flac", SIZE], ["bass.flac", SIZE + 1]]
    said = page.evaluate("(files) => theirs.withUppyXhr(files)", files)
    assert said == {"sent": ["drums.flac", "bass.flac"], "refused": []}
    uploads = kept(page)
    assert {upload["fileName"] for upload in uploads} == {"drums.flac", "bass.flac"}
    assert all(holds(page, upload, upload["fileSize"]) for upload in uploads)


@pytest.mark.parametrize("options", [{"formData": False}, {"bundle": True}], ids=str)
def test_uppy_xhr_upload_is_told_how_to_send_files(page: Page, options: dict[str, bool]) -> None:
    """Where it sends no form, or all files in one: what to set, and nothing is kept."""
    files = [["drums.flac", SIZE], ["bass.flac", SIZE]]
    said = page.evaluate("([files, options]) => theirs.withUppyXhr(files, options)", [files, options])
    assert said["sent"] == []
    (name,) = options
    assert all(name in sentence for sentence in said["refused"]), said
    assert kept(page) == []
