"""A mixdown is shared by a link, heard without an account, and taken back (SPEC 3)."""

from collections.abc import Sequence
from typing import Any, BinaryIO, Final

import httpx
import msgspec
import pytest

from omnisonic.models import AudioFormat
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.studio.media.analyser import CannotAnalyse
from omnisonic.studio.media.sound import Sound
from omnisonic.studio.mixdown import Mixed, Project
from omnisonic.studio.mixdown.process import render
from omnisonic.studio.shares.preview_queue import TRIES, PreviewQueue
from omnisonic.studio.shares.preview_worker import PreviewWorker
from omnisonic.studio.uploads import Analysis, Peaks
from tests.http import making
from tests.http.api.test_exports import request_export
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.api.test_uploads import is_clean
from tests.http.running import Web
from tests.http.sounds import wav

SOUND: Final = wav(1.0)
PHONE: Final = {"User-Agent": "A phone"}


async def analyse(file: BinaryIO) -> Analysis | None:
    """As the analyser: two peaks."""
    assert file.read(4) == b"RIFF"
    return Analysis(2, Peaks(48_000, 1.0, [0.25, 1.0]))


async def mix(project: Project, files: Sequence[BinaryIO], output: BinaryIO, format_: AudioFormat, **_: Any) -> Mixed:
    """As the mixer, but in this process."""
    for file in files:
        file.seek(0)
    return render(project, files, output, format_, on_progress=lambda _part: None)


def make_preview(web: Web) -> bool:
    """Let a worker make the next preview."""
    return web.do(PreviewWorker(PreviewQueue(web.database), web.stores.storage, analyse, mix).make_next())


def shared(
    web: Web, client: httpx.Client, session: str, sound: bytes = SOUND, **terms: Any
) -> tuple[str, dict[str, Any]]:
    """The path of the shares of a new mixdown, and a link to it."""
    path = f"/api/export/{request_export(client, session)['exportId']}/shares"
    making.make(web, sound)
    answer = client.post(path, json=terms)
    assert answer.status_code == 201, answer.text
    return path, answer.json()


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a problem."""
    return answer.status_code, answer.json()["code"]


def test_a_mixdown_is_heard_by_whoever_has_the_link_until_it_is_revoked(web: Web) -> None:
    """The original until the MP3 is made, plays are counted once an hour, and nothing of the band is told."""
    ada = web.sign_up("ada@example.com", name="Ada")
    session = make(ada, "Night jam")["id"]
    path, link = shared(web, ada, session)
    token = httpx.URL(link["url"]).path.removeprefix("/listen/")
    listen, guest = f"/api/listen/{token}", web.new_client()
    guest.headers.update(PHONE)
    about = {
        "sessionName": "Night jam", "sharedBy": "Ada", "durationSeconds": making.LENGTH_S,
        "expiresAt": link["expiresAt"], "download": False, "comments": True, "peaks": None,
    }  # fmt: skip
    assert guest.get(listen).json() == about
    assert guest.get(f"{listen}/audio").content == SOUND
    assert make_preview(web)
    assert not make_preview(web)
    assert guest.get(listen).json() == about | {"peaks": [0.251, 1.0]}
    played = guest.get(f"{listen}/audio", headers={"Range": "bytes=0-"})
    assert (played.status_code, played.headers["Content-Type"]) == (206, "audio/mpeg")
    assert "private" in played.headers["Cache-Control"]
    (web.folder / "played.mp3").write_bytes(played.content)
    with (web.folder / "played.mp3").open("rb") as file:
        assert sum(frame.samples for frame in Sound(file).frames()) >= 47_000
    (web.folder / "played.mp3").unlink()
    assert guest.get(f"{listen}/audio", headers={"User-Agent": "Another"}).status_code == 200
    assert code(guest.get(f"{listen}/download")) == (403, "download_not_allowed")
    changed = ada.patch(f"{path}/{link['id']}", json={"download": True, "comments": False}).json()["share"]
    assert (changed["download"], changed["comments"], changed["plays"]) == (True, False, 2)
    assert guest.get(f"{listen}/download").content == SOUND
    assert ada.get(path).json()["shares"] == [changed]
    assert changed["sharedBy"] == {"id": user_id(ada), "name": "Ada"}
    assert token not in str(web.do(web.database.rows("SELECT * FROM shares")))

    page = guest.get(f"/listen/{token}")
    assert (page.status_code, page.headers["Referrer-Policy"]) == (200, "no-referrer")
    assert "noindex" in page.headers["X-Robots-Tag"]
    assert '<meta property="og:title" content="Night jam">' in page.text
    assert not guest.cookies
    assert user_id(ada) not in page.text
    assert "ada@example.com" not in page.text

    assert ada.delete(f"{path}/{link['id']}").json() == {"ok": True}
    assert code(ada.delete(f"{path}/{link['id']}")) == (404, "share_not_found")
    for at in ("", "/audio", "/download"):
        assert code(guest.get(f"{listen}{at}")) == (410, "share_over")
        assert code(guest.get(f"{listen[:-1]}{at}")) == (404, "share_not_found")
    over = guest.get(f"/listen/{token}")
    assert (over.status_code, "Night jam" in over.text) == (410, False)
    assert guest.get(f"/listen/{token[:-1]}").status_code == 404
    events = ada.get(f"/api/sessions/{session}/activity").json()["events"]
    assert [(each["kind"], each["subjectName"], each["undo"]) for each in events[:2]] == [
        ("share.removed", "Night jam.wav", None),
        ("share.added", "Night jam.wav", None),
    ]
    assert ada.delete(path.removesuffix("/shares")).status_code == 200
    web.do(web.database.row("UPDATE loose_objects SET due_at = now()"))
    web.forget_everybody()
    assert is_clean(web)
    assert web.stored() == set()


def test_the_room_is_told_at_once_that_a_link_was_made_or_revoked(web: Web) -> None:
    """No other event goes with it, so it waits for none."""
    ada = web.sign_up("ada@example.com", name="Ada")
    session = make(ada, "Night jam")["id"]
    path, link = shared(web, ada, session)
    assert ada.delete(f"{path}/{link['id']}").status_code == 200
    recorded = ada.get(f"/api/sessions/{session}/activity").json()["events"]
    told = room_news(web, "activity.added")
    assert [event.room for event in told] == [session] * 3
    assert [msgspec.json.decode(event.payload) for event in told] == recorded[::-1]
    assert [event["kind"] for event in recorded] == ["share.removed", "share.added", "export.requested"]


async def cannot_analyse(_file: BinaryIO) -> Analysis | None:
    """As the analyser on a machine that is too busy."""
    raise CannotAnalyse("This machine is too busy to listen to a file. Try again later.")


def test_outages_use_up_no_tries_of_a_preview(web: Web) -> None:
    """However many there are; it waits for a while after each."""
    ada = web.sign_up("ada@example.com")
    shared(web, ada, make(ada)["id"])
    failing = PreviewWorker(PreviewQueue(web.database), web.stores.storage, cannot_analyse, mix)
    for _ in range(TRIES + 1):
        with pytest.raises(CannotAnalyse):
            web.do(failing.make_next())
        assert not make_preview(web)
        web.do(web.database.row("UPDATE exports SET preview_due_at = now() WHERE preview_due_at IS NOT NULL"))
    assert make_preview(web)


def test_links_are_made_within_bounds_and_listeners_only_look(web: Web) -> None:
    """A finished mixdown alone, at most a year, at most twenty at once; one that has expired is over."""
    ada, lee = web.sign_up("ada@example.com"), web.sign_up("lee@example.com")
    session = make(ada)
    share(ada, session, lee)
    demoted = ada.patch(f"/api/sessions/{session['id']}/collaborators/{user_id(lee)}", json={"role": "listener"})
    assert demoted.status_code == 200
    unfinished = request_export(ada, session["id"])["exportId"]
    assert code(ada.post(f"/api/export/{unfinished}/shares")) == (409, "export_not_completed")
    making.fail(web, "It is a test.")
    path, link = shared(web, ada, session["id"])
    assert lee.get(path).json() == ada.get(path).json()
    assert code(lee.post(path)) == (403, "listeners_change_nothing")
    for wrong in ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "tomorrow", "2027-01-01"):
        assert code(ada.post(path, json={"expiresAt": wrong})) == (400, "invalid_expires_at"), wrong
    for _ in range(19):
        assert ada.post(path).status_code == 201
    assert code(ada.post(path)) == (409, "too_many_shares")
    web.do(web.database.row("UPDATE shares SET expires_at = now() WHERE id = $1", link["id"]))
    assert web.client.get(httpx.URL(link["url"]).path).status_code == 410
    assert len(ada.get(path).json()["shares"]) == 19
    assert ada.post(path).status_code == 201


def test_guests_comment_under_a_name_and_the_band_answers_for_it(web: Web) -> None:
    """Through one link, as guests, within bounds; an editor removes one, and switches comments off."""
    ada, ed = web.sign_up("ada@example.com"), web.sign_up("ed@example.com")
    session = make(ada)
    share(ada, session, ed)
    path, link = shared(web, ada, session["id"])
    other = ada.post(path).json()
    comments, others = (f"/api{httpx.URL(each['url']).path}/comments" for each in (link, other))
    written = {"name": " Gus ", "text": "More bass.\nPlease.", "atSeconds": 6.0}
    web.bus.published.clear()
    comment = web.client.post(comments, json=written).json()["comment"]
    assert comment == written | {"id": comment["id"], "name": "Gus", "createdAt": comment["createdAt"]}
    ((room, said),) = [(event.room, msgspec.json.decode(event.payload)) for event in room_news(web)]
    assert (room, said["guest"], said["author"]) == (session["id"], True, {"id": None, "name": "Gus"})
    assert (said["exportId"], said["atSeconds"], said["atBeat"]) == (link["exportId"], 6.0, 12.0)
    (seen,) = ada.get(f"/api/sessions/{session['id']}/comments").json()["comments"]
    assert seen == said
    assert web.client.get(comments).json()["comments"] == [comment]
    assert web.client.get(others).json()["comments"] == []
    for wrong, named in (
        ({"name": "\u200b"}, "name"),
        ({"text": "x" * 1001}, "text"),
        ({"atSeconds": -1}, "at_seconds"),
    ):
        assert code(web.client.post(comments, json=written | wrong)) == (400, f"invalid_{named}")
    answers = [web.client.post(comments, json={"name": "Gus", "text": "Again."}) for _ in range(6)]
    assert code(answers[-1]) == (429, "too_many_guest_comments")
    assert {answer.status_code for answer in answers[:-1]} == {201}
    assert ed.delete(f"/api/comments/{comment['id']}").status_code == 200
    assert len(web.client.get(comments).json()["comments"]) == 5
    assert ed.patch(f"{path}/{link['id']}", json={"comments": False}).status_code == 200
    web.clock.now_s += 3_600
    assert code(web.client.get(comments)) == (403, "comments_off")
    assert code(web.client.post(comments, json=written)) == (403, "comments_off")
    assert ed.delete(f"{path}/{other['id']}").status_code == 200
    assert code(web.client.post(others, json=written)) == (410, "share_over")


def room_news(web: Web, type_: str = "comment.added") -> list[RoomSaid]:
    """What rooms were told of comments, or of something else."""
    return [event for event in web.bus.events if isinstance(event, RoomSaid) and event.type == type_]
