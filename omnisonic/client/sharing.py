"""What the members of a room share: the part of a `ClientRoom` for the shared state and the transport (SPEC 5.2)."""

from typing import Any, Final

from msgspec import UNSET, UnsetType

from omnisonic.client.backend import Backend
from omnisonic.client.dispatch import Dispatch
from omnisonic.client.errors import NotTaken
from omnisonic.client.pending_requests import PendingRequest
from omnisonic.client.reconnector import Reconnector
from omnisonic.client.shared_state import SharedState
from omnisonic.models import MemberId
from omnisonic.wire.transport import Loop, Transport

ACK_S: Final = 10.0
"""How long a request waits for its answer by default."""


class SharingMember:
    """A member who reads and changes what the room's members share. `ClientRoom` is the rest of the member."""

    def __init__(self, backend: Backend, reconnector: Reconnector, dispatch: Dispatch) -> None:
        self._backend = backend
        self._reconnector = reconnector
        self._dispatch = dispatch
        self._state = SharedState(dispatch.state_entries)

    # Shared state

    @property
    def state(self) -> SharedState:
        """What the members share: a read-only mapping of keys to values, as last received. See `SharedState`."""
        return self._state

    async def set_state(
        self, key: str, value: Any, *, if_version: int | None = None, ephemeral: bool = False, timeout_s: float = ACK_S
    ) -> int:
        """Change one key of the shared state, for everybody. Sent again after a reconnection, as by `ask`.

        Args:
            key: 1 to 128 characters.
            value: Anything that msgspec can encode as JSON, up to 8 KiB. None: delete the key.
            if_version: Change the key only if it has this version. 0: only if it is not there.
            ephemeral: Delete the key when you leave.
            timeout_s: How long to wait for the answer, reconnections included.

        Returns:
            The version of the change. By then `state` has the change, unless a later one has replaced it. 0 when a room
            with its own code kept the change back.

        Raises:
            NotTaken: `state_conflict`: the key has another version, which is the error's `version`. Also
                `state_too_large`, `invalid_state_key` and `no_answer`.
            Closed: The membership has ended.
            InvalidInput: As in `say`.

        Example:
            version = await room.set_state("solo", "ada")
            await room.set_state("solo", None, if_version=version)
        """
        wanted: dict[str, Any] = {"key": key, "value": value}
        if if_version is not None:
            wanted["ifVersion"] = if_version
        if ephemeral:
            wanted["ephemeral"] = True
        answer = await self._request("state.set", wanted, None, timeout_s)
        return answer.version or 0

    # Transport

    @property
    def transport(self) -> Transport:
        """What plays, where, and how fast, as last received."""
        return self._dispatch.transport

    @property
    def clock_offset_s(self) -> float | None:
        """How many seconds the server's clock is ahead of `time.time()`. None before the first heartbeat's answer."""
        return self._dispatch.clock_offset_s

    def position(self, at: float | None = None) -> float:
        """The position of the transport in beats, the same for all members at the same moment.

        Args:
            at: The moment, in seconds of this machine's `time.time()`. None: now.

        Returns:
            Beats from 0. Where the transport stands, when it does not play or its start is still ahead.

        Example:
            while room.transport.playing:
                print(f"beat {room.position():.1f}")
                await trio.sleep(0.1)
        """
        return self.transport.beat_at(self._dispatch.server_time_ms(at))

    async def play(self, at_beat: float | None = None, *, timeout_s: float = ACK_S) -> None:
        """Start the transport for everybody, 150 ms from now.

        Args:
            at_beat: Where to start, in beats from 0. None: where it stands.
            timeout_s: How long to wait for the answer, reconnections included.

        Raises:
            NotTaken: `invalid_transport`: `at_beat` is out of its range; or `no_answer`.
            Closed: The membership has ended.

        Example:
            await room.play(at_beat=0)
        """
        await self._set_transport({"playing": True} | _given(atBeat=at_beat), timeout_s)

    async def stop(self, *, timeout_s: float = ACK_S) -> None:
        """Stop the transport for everybody, where it is.

        Args:
            timeout_s: How long to wait for the answer, reconnections included.

        Raises:
            NotTaken: `no_answer`.
            Closed: The membership has ended.

        Example:
            await room.stop()
        """
        await self._set_transport({"playing": False}, timeout_s)

    async def set_transport(
        self,
        *,
        tempo_bpm: float | None = None,
        beats_per_bar: int | None = None,
        at_beat: float | None = None,
        loop: Loop | UnsetType | None = UNSET,
        timeout_s: float = ACK_S,
    ) -> None:
        """Change the transport for everybody. What you leave out stays as it is.

        Args:
            tempo_bpm: Beats per minute, 20 to 400. The position stays the same.
            beats_per_bar: 1 to 32.
            at_beat: Go to this position, in beats from 0.
            loop: The part to repeat. None: repeat nothing.
            timeout_s: How long to wait for the answer, reconnections included.

        Raises:
            NotTaken: `invalid_transport`: something is out of its range, or nothing is given; or `no_answer`.
            Closed: The membership has ended.

        Example:
            await room.set_transport(tempo_bpm=96, loop=omnisonic.Loop(8, 16))
            await room.set_transport(loop=None)
        """
        wanted = _given(tempoBpm=tempo_bpm, beatsPerBar=beats_per_bar, atBeat=at_beat)
        await self._set_transport(wanted if loop is UNSET else wanted | {"loop": loop}, timeout_s)

    async def _set_transport(self, wanted: dict[str, Any], timeout_s: float) -> None:
        await self._request("transport.set", wanted, None, timeout_s)

    async def _request(
        self, type_: str, payload: Any, to: MemberId | None, timeout_s: float, *, keep: bool = False
    ) -> PendingRequest:
        """Send a message and wait until it is acknowledged. Raises as `ClientRoom.ask`."""
        pending_requests = self._dispatch.pending_requests
        request = pending_requests.add(type_, payload, to, keep=keep)
        try:
            async with self._backend.move_on_after(timeout_s):
                await self._reconnector.send_request(request)
                await request.done.wait()
        finally:
            pending_requests.discard(request)
        if request.error is not None:
            raise request.error.with_traceback(None)
        if not request.done.is_set():
            raise NotTaken("no_answer", f"The room did not answer within {timeout_s:g} s.")
        return request


def _given(**fields: float | None) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
