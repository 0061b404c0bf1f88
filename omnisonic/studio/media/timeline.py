"""Where decoded sound lies in time. Pure.

A file says for each frame when it begins. Where nothing lies between two frames for more than `GAP_S`, there is
silence: a pause that was not recorded, or something that could not be decoded. What is less is rounding, and is left
alone, as is every overlap. Times that go back, or so far forward that all would be longer than `longest_s`, are no
times: what comes then follows what was there before, and the times count from there on. So nothing gets longer than
the sound in it and `longest_s` of silence.
"""

from typing import Final, NamedTuple

GAP_S: Final = 0.018
"""The shortest pause: a little less than a packet of Opus, and more than any container rounds (10 ms in Ogg Vorbis)."""
MOST_PRIMING_S: Final = 0.25
"""How much before the beginning can be what an encoder put there. Five times what AAC needs."""


class Place(NamedTuple):
    """So many samples of silence come before a frame, and so many of its own first samples are not to be heard."""

    silence: int
    skipped: int


class Timeline:
    """Takes frames in turn. One task owns it."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._longest_gap_s = longest_s
        self._offset_s: float | None = None
        self._starts_at_s: float | None = None
        self._base_s = 0.0
        self._samples = 0
        self._rate = 1
        self._lead_s = self._priming_s = 0.0
        self.silent_s = 0.0
        """How much silence was put in."""

    @property
    def end_s(self) -> float:
        """How long all is up to now."""
        return self._base_s + self._samples / self._rate

    def begin(self, lead_s: float, starts_at_s: float | None, longest_gap_s: float) -> None:
        """A new file begins here, or the next link of one. Its sound begins `lead_s` after the rest of it, by its own
        clock at `starts_at_s`, None for whenever its first frame begins. A lead of less than nothing is priming.
        """
        self._longest_gap_s = longest_gap_s
        self._priming_s = min(max(-lead_s, 0.0), MOST_PRIMING_S)
        self._base_s, self._samples = self.end_s, 0
        self._starts_at_s = starts_at_s
        self._offset_s = None
        self._lead_s = lead_s if 0 < lead_s <= self._allowed_s() else 0.0

    def place(self, at_s: float | None, samples: int, rate: int) -> Place:
        """The next frame has so many samples at that rate, and begins at `at_s` by the file's clock."""
        if rate != self._rate:
            self._base_s, self._samples, self._rate = self.end_s, 0, rate
        gap_s = self._gap_s(at_s)
        silence = round(gap_s * rate)
        skipped = 0
        if self._priming_s:
            skipped = min(round(self._priming_s * rate), samples)
            self._priming_s = max(self._priming_s - samples / rate, 0.0)
        self.silent_s += silence / rate
        self._samples += silence + samples - skipped
        return Place(silence, skipped)

    def fill_up(self, until_s: float) -> int:
        """How many samples of silence the sound lacks to end then; 0 when it does, or when that can be no time."""
        lacking_s = until_s - self.end_s
        lacking = round(lacking_s * self._rate) if 0 < lacking_s <= self._allowed_s() else 0
        self._samples += lacking
        return lacking

    def _gap_s(self, at_s: float | None) -> float:
        """How much silence comes before a frame that begins then."""
        end_s = self.end_s - self._priming_s
        lead_s, self._lead_s = self._lead_s, 0.0
        if at_s is None:
            return lead_s
        if self._offset_s is None:
            starts_at_s = at_s if self._starts_at_s is None else self._starts_at_s
            # The first frame is where the stream begins, unless what was before it could not be decoded.
            late_s = at_s - starts_at_s
            late_s = late_s if GAP_S < late_s <= self._allowed_s() else 0.0
            self._offset_s = end_s + lead_s + late_s - at_s
            return lead_s + late_s
        gap_s = at_s + self._offset_s - end_s
        if GAP_S < gap_s <= self._allowed_s():
            return gap_s
        if abs(gap_s) > GAP_S:
            self._offset_s -= gap_s
        return 0.0

    def _allowed_s(self) -> float:
        return min(self._longest_gap_s, self._longest_s - self.end_s)
