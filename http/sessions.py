"""`/api/sessions`: music sessions, and who shares them (SPEC 3).

The store says who may do what, in the same step as doing it; nothing is decided here. How many are in a session's room
is filled in from the presence store, for all sessions of an answer at once, and is null when that does not answer in
time. The live room is told of changes once they are made: a bus that does not answer costs the rooms the news, which
is logged, and never fails the request. Overload of the database: 503 with `Retry-After`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from quart import Blueprint, Response, request

from omnisonic.bus import ROOM_EVENTS, Bus
from omnisonic.bus.events import RoleLost, RoomClosed, RoomEvent, RoomSaid, encode
from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.http.answers import InviteAnswer, Ok, SessionAnswer, SessionList, Sharing, answer
from omnisonic.http.inputs import Query, json_body, no_body
from omnisonic.http.invites import invite_digest, invite_path, new_invite
from omnisonic.http.openapi import BEARER_OR_COOKIE, COOKIE, answers
from omnisonic.http.session_inputs import LISTED, LISTED_AT_MOST, Changes, NewSession, Nothing, SessionQuery, read_cursor
from omnisonic.models import LoginId, Session, SessionId, UserId
from omnisonic.presence import PresenceStore
from omnisonic.sessions import Change, Cursor, SessionStore
