"""The web app: its routes, the request filter before them, and the headers of every response (SPEC 3, 6).

Built once per process. It owns nothing but what it is given. Overload: bodies are limited in bytes and in time, calls
to stores and bus in time. Crash: one request fails with 500. Shutdown: the server finishes what is in flight; the
stores are closed by whoever opened them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, cast

from hypercorn.typing import ASGIFramework
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider
from quart import Quart

from omnisonic.http.api.activity import Activity
from omnisonic.http.api.comments import Comments
from omnisonic.http.api.covers import Covers
from omnisonic.http.api.downloads import DownloadLinks, Downloads, DownloadSlots, FileResponder
from omnisonic.http.api.event_stream import EventStreamRoutes
from omnisonic.http.api.event_streams import EventStreams
from omnisonic.http.api.exports import Exports
from omnisonic.http.api.gateway import GatewayAddress, RealtimeReference
from omnisonic.http.api.guest_comments import GuestCommentRoutes
from omnisonic.http.api.health import Health
from omnisonic.http.api.invites import Invites
from omnisonic.http.api.listening import MOST_AT_ONCE, PER_ADDRESS, Listening
from omnisonic.http.api.markers import Markers
from omnisonic.http.api.member_connection import GatewayEntrance
from omnisonic.http.api.messages import Messages
from omnisonic.http.api.metrics import Metrics
from omnisonic.http.api.originals import Originals
from omnisonic.http.api.presence import Presence
from omnisonic.http.api.request_rates import RequestRates
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.api.room_rights import RoomRights
from omnisonic.http.api.room_tickets import RoomTickets
from omnisonic.http.api.rooms import Rooms, RoomStores
from omnisonic.http.api.segments import Segments
from omnisonic.http.api.session_presence import SessionPresence
from omnisonic.http.api.sessions import Sessions
from omnisonic.http.api.shares import Shares
from omnisonic.http.api.stream_slots import StreamSlots
from omnisonic.http.api.tus import MethodOverride, Tus
from omnisonic.http.api.uploads import Uploads, UploadServices
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.auth.oauth import PROVIDER_TIMEOUT_S
from omnisonic.http.auth.routes import Auth
from omnisonic.http.core.cookies import Csrf
from omnisonic.http.core.errors import handle_errors
from omnisonic.http.core.framework import IdConverter, StudioApp
from omnisonic.http.core.openapi import serve_openapi
from omnisonic.http.core.request_body import GRACE_S
from omnisonic.http.core.request_ids import add_request_ids
from omnisonic.http.core.security import STILL_PAGE, secure
from omnisonic.http.pages.listen import ListenPage
from omnisonic.http.pages.page_context import PageContext
from omnisonic.http.pages.public import PublicPages
from omnisonic.http.pages.sessions import SessionPages
from omnisonic.identity.scrapers import ScraperAccess
from omnisonic.identity.signing import Secret
from omnisonic.settings.origins import HostPolicy, OriginPolicy
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import Bus
from omnisonic.stores.guard import Guard
from omnisonic.stores.presence import PresenceStore
from omnisonic.stores.storage import Storage
from omnisonic.studio.access import AccessStore
from omnisonic.studio.access.server_keys import ServerKeyStore
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.activity.activity_store import ActivityStore
from omnisonic.studio.archives.session_files import SessionFiles
from omnisonic.studio.comments.comment_store import CommentStore
from omnisonic.studio.exports.export_store import ExportStore
from omnisonic.studio.markers.marker_store import MarkerStore
from omnisonic.studio.media.identifier import Identifier
from omnisonic.studio.messages.message_store import MessageStore
from omnisonic.studio.segments.segment_store import SegmentStore
from omnisonic.studio.sessions import SessionStore
from omnisonic.studio.shares.guest_comments import GuestComments
from omnisonic.studio.shares.share_links import ShareLinks
from omnisonic.studio.shares.share_store import ShareStore
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.resumable_store import ResumableStore
from omnisonic.studio.uploads.retention import UploadRetention
from omnisonic.studio.uploads.upload_store import UploadStore
from omnisonic.studio.uploads.upload_writer import UploadWriter

MAX_BODY_BYTES: Final = 65_536
BODY_TIMEOUT_S: Final = 5
"""How long a body of at most 64 KiB may take to arrive."""
STALL_TIMEOUT_S: Final = 30
"""How long an upload may pause."""
RESPONSE_TIMEOUT_S: Final = 10
"""How long a client may take to read a response."""
KEEP_ALIVE_S: Final = 15
"""How long a stream of events may be silent. Many proxies cut off what is silent for 30 s."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of the web, closed by whoever opened them. `ask_gateway`: None if no gateway is known."""

    presence: PresenceStore
    bus: Bus
    room_events: RoomEvents
    """On the same bus. The stores tell it of what they record."""
    guard: Guard
    local_guard: Guard
    """A guard in this process, used while the other does not answer."""
    accounts: AccountStore
    access: AccessStore
    keys: ServerKeyStore
    sessions: SessionStore
    uploads: UploadStore
    resumable: ResumableStore
    segments: SegmentStore
    exports: ExportStore
    files: SessionFiles
    shares: ShareStore
    share_links: ShareLinks
    guest_comments: GuestComments
    activity: ActivityStore
    comments: CommentStore
    markers: MarkerStore
    messages: MessageStore
    retention: UploadRetention
    storage: Storage
    ping_database: Callable[[], Awaitable[None]]
    ask_gateway: Callable[[], Awaitable[None]] | None = None
    count_waiting_exports: Callable[[], Awaitable[int]] | None = None


def create_app(
    settings: Settings,
    stores: Stores,
    *,
    secret: Secret,
    admin_token: str | None = None,
    gateway_port: int,
    web_port: int,
    render_metrics: Callable[[], bytes] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Quart:
    """Create the web app, an ASGI app.

    Args:
        settings: The validated settings.
        stores: The stores to work with.
        secret: Signs cookies, CSRF tokens and tickets.
        admin_token: The operator's token. None: there is no operator.
        gateway_port: Port of the gateway for browsers, used when `GATEWAY_PUBLIC_URL` is not set.
        web_port: Port that this app is reached by, for its own origin.
        render_metrics: Makes what `/metrics` answers, on a thread. None: there are no metrics.
        tracer_provider: OpenTelemetry's global one when not given.
        meter_provider: The same.
    """
    app = create_plain_app(
        settings.host_policy(settings.web_host),
        settings.origin_policy(web_port),
        has_pages=True,
        https=settings.is_https,
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
    )
    app.config |= {"PROVIDER_TIMEOUT": PROVIDER_TIMEOUT_S, "KEEP_ALIVE": KEEP_ALIVE_S}
    current_user = CurrentUser(app, secret=secret, secure=settings.is_https)
    csrf = Csrf(secret, secure=settings.is_https)
    rights = RoomRights(stores.access, current_user, is_open=settings.access == "open")
    room_stores = RoomStores(stores.sessions, stores.keys, stores.bus, stores.guard)
    tickets, streams = RoomTickets(secret), EventStreams(stores.bus)
    event_stream = EventStreamRoutes(
        current_user,
        rights,
        tickets,
        GatewayEntrance.of(settings, gateway_port),
        streams,
        StreamSlots.of(settings),
        origins=settings.origin_policy(web_port),
        proxies=settings.trusted_proxies,
    )
    session_presence = SessionPresence(stores.presence)
    gateway = GatewayAddress(settings, gateway_port)
    room_events = stores.room_events
    garbage_collector = GarbageCollector(stores.retention, stores.storage)
    max_bytes, identify = settings.upload_max_bytes, Identifier().media_type
    upload_writer = UploadWriter(
        stores.uploads, stores.storage, garbage_collector, max_bytes=max_bytes, identify=identify
    )
    download_links = DownloadLinks(stores.storage, secret=secret, cdn_url=settings.storage_cdn_url)
    upload_services = UploadServices(stores.uploads, upload_writer, garbage_collector, download_links)
    file_responder = FileResponder(stores.storage, DownloadSlots(), settings.trusted_proxies)
    guest_slots = DownloadSlots(MOST_AT_ONCE, PER_ADDRESS)
    guest_responder = FileResponder(stores.storage, guest_slots, settings.trusted_proxies)
    scrapers = ScraperAccess(settings.metrics_token.get_secret_value() if settings.metrics_token else None)
    page_context = PageContext(settings, current_user, stores.accounts, csrf)
    RequestRates(settings, stores.guard, stores.local_guard, stores.accounts, current_user).attach(app)
    for resource in (
        Health(stores.ping_database, stores.presence, stores.bus, stores.storage, stores.ask_gateway),
        Metrics(scrapers, render_metrics, stores.count_waiting_exports, meter_provider),
        Presence(settings, stores.presence, stores.bus, rights, current_user),
        Sessions(settings, stores.sessions, session_presence, room_events, current_user.login),
        Invites(settings, stores.sessions, session_presence, current_user.login),
        Uploads(settings, upload_services, room_events, current_user.login),
        Tus(upload_services, stores.resumable, stores.storage, room_events, current_user.login),
        Downloads(stores.uploads, file_responder, download_links, current_user.login),
        Covers(stores.uploads, current_user.login),
        Segments(stores.segments, file_responder, current_user.login),
        Originals(stores.files, stores.storage, file_responder, current_user.login),
        Activity(stores.activity, room_events, current_user.login),
        Comments(stores.comments, room_events, current_user.login),
        Markers(stores.markers, room_events, current_user.login),
        Exports(settings, stores.exports, file_responder, garbage_collector, room_events, current_user.login),
        Shares(settings, stores.shares, current_user.login),
        Listening(stores.share_links, guest_responder, stores.guard, settings.trusted_proxies),
        GuestCommentRoutes(stores.guest_comments, stores.guard, room_events, settings.trusted_proxies),
        Rooms(
            settings,
            room_stores,
            current_user,
            rights,
            tickets=tickets,
            streams=streams,
            admin_token=admin_token,
            gateway=gateway,
        ),
        event_stream,
        Messages(stores.messages, current_user.login),
        RealtimeReference(gateway),
        Auth(settings, stores.accounts, stores.guard, stores.bus, current_user, csrf, secret=secret),
        PublicPages(settings, page_context),
        ListenPage(stores.share_links),
        SessionPages(
            settings, page_context, current_user, csrf, stores.sessions, session_presence, gateway_port=gateway_port
        ),
    ):
        app.register_blueprint(resource.blueprint())
    serve_openapi(app, cookie_name=current_user.cookie_name or "")
    app.asgi_app = MethodOverride(cast("ASGIFramework", app.asgi_app))  # type: ignore[method-assign]
    return app


def create_plain_app(
    hosts: HostPolicy,
    origins: OriginPolicy,
    *,
    has_pages: bool,
    https: bool,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Quart:
    """Create an app without routes: its limits, request filter, headers and error responses."""
    app = StudioApp(__name__, static_folder=None)
    app.config |= {
        "MAX_CONTENT_LENGTH": MAX_BODY_BYTES,
        "BODY_TIMEOUT": BODY_TIMEOUT_S,
        "STALL_TIMEOUT": STALL_TIMEOUT_S,
        "SLOW_TIMEOUT": GRACE_S,
        "RESPONSE_TIMEOUT": RESPONSE_TIMEOUT_S,
        "PROVIDE_AUTOMATIC_OPTIONS": False,
    }
    app.url_map.converters["id"] = IdConverter
    # A doubled slash is a different path: no redirect in HTML.
    app.url_map.merge_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    add_request_ids(app, tracer_provider, meter_provider)
    secure(app, hosts, origins, https=https)
    handle_errors(app, page_policy=STILL_PAGE if has_pages else None)
    return app
