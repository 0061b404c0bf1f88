"""Nobody's address is shown to the others: whoever has no name is called by what stands before its @."""

from tests.http.api.test_shares import shared
from tests.http.browsing import invite_to, new_session, person
from tests.http.running import Web
from tests.http.sounds import wav

ADDRESS = "lou.reeder@example.com"


def test_who_has_no_name_is_not_shown_by_an_address(web: Web) -> None:
    """In comments, uploads, activity, share links, among the people, on the pages, and for whoever has the link."""
    session = new_session(web, "Ada")
    lou, ada = web.sign_up(ADDRESS, name=None), person(web, "Ada")
    assert lou.post(f"/api{invite_to(web, 'Ada', session)}").status_code == 200
    about = {"text": "Mine."}
    assert lou.post(f"/api/sessions/{session}/comments", json=about).status_code == 201
    files = {"file": ("take.wav", wav())}
    assert lou.post("/api/upload", files=files, data={"sessionId": session}).status_code == 201
    shares, link = shared(web, lou, session)
    (comment,) = ada.get(f"/api/sessions/{session}/comments").json()["comments"]
    assert comment["author"]["name"] == "lou.reeder"
    (share,) = ada.get(shares).json()["shares"]
    assert share["sharedBy"]["name"] == "lou.reeder"
    bo = person(web, "Bo")
    assert bo.post(f"/api{invite_to(web, 'Ada', session)}").status_code == 200
    seen = [
        f"/sessions/{session}",
        "/sessions",
        f"/api/sessions?id={session}",
        f"/api/sessions/{session}/comments",
        f"/api/sessions/{session}/activity",
        f"/api/sessions/{session}/collaborators",
        f"/api/upload/list?sessionId={session}",
        f"/api/export?sessionId={session}",
        shares,
    ]
    for path in seen:
        answer = bo.get(path)
        assert answer.status_code == 200, path
        assert ADDRESS not in answer.text, path
    place = link["url"].removeprefix(web.url)
    assert ADDRESS not in web.client.get(place).text
    assert "lou" not in web.client.get(f"/api{place}").text
