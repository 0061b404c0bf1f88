"""The timeline: where decoded frames lie in time, and how much silence is between them. Pure.

A file declares for each frame when it begins. A gap of more than `GAP_S` between two frames becomes silence: a pause
that was not recorded, or something that could not be decoded. Shorter gaps are rounding and are ignored, as are
overlaps. Times that go back, or so far forward that the sound would be longer than `longest_s`, are invalid: the frame
follows the one before it, and later times count from there. So no sound gets longer than its frames and `longest_s` of
silence.
"""

from typing import Final, NamedTuple

GAP_S: Final = 0.018
"""The shortest pause: a little less than a packet of Opus, and more than any container rounds (10 ms in Ogg Vorbis)."""
MOST_PRIMING_S: Final = 0.25
"""The most priming that an encoder adds before the sound: five times what AAC needs."""


class Place(NamedTuple):
    """How many samples of silence come before a frame, and how many of its first samples are skipped."""

    silence: int
    skipped: int


class Timeline:
    """Places frames one after the other. One task owns it."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._longest_gap_s = longest_s
        self._offset_s: float | None = None
        self._starts_at_s: float | None = None
        self._base_s = 0.0
        self._samples = 0
        self._rate = 1
        self._lead_s = self._priming_s = 0.0

    @property
    def end_s(self) -> float:
        """The length so far."""
        return self._base_s + self._samples / self._rate

    def begin(self, lead_s: float, starts_at_s: float | None, longest_gap_s: float) -> None:
        """Begin a file, or the next link of a chain.

        Args:
            lead_s: How much later its sound begins than its other streams; negative for priming.
            starts_at_s: When its sound begins by its own clock; None for the time of its first frame.
            longest_gap_s: A longer gap is a change of its clock.
        """
        self._longest_gap_s = longest_gap_s
        self._priming_s = min(max(-lead_s, 0.0), MOST_PRIMING_S)
        self._base_s, self._samples = self.end_s, 0
        self._starts_at_s = starts_at_s
        self._offset_s = None
        self._lead_s = lead_s if 0 < lead_s <= self._allowed_s() else 0.0

    def place(self, at_s: float | None, samples: int, rate: int) -> Place:
        """Place the next frame, with `samples` at `rate`, which begins at `at_s` by the file's clock."""
        if rate != self._rate:
            self._base_s, self._samples, self._rate = self.end_s, 0, rate
        gap_s = self._gap_s(at_s)
        silence = round(gap_s * rate)
        skipped = 0
        if self._priming_s:
            skipped = min(round(self._priming_s * rate), samples)
            self._priming_s = max(self._priming_s - samples / rate, 0.0)
        self._samples += silence + samples - skipped
        return Place(silence, skipped)

    def fill_up(self, until_s: float) -> int:
        """How many samples of silence are missing until `until_s`; 0 for none, or when that is no valid time."""
        lacking_s = until_s - self.end_s
        lacking = round(lacking_s * self._rate) if 0 < lacking_s <= self._allowed_s() else 0
        self._samples += lacking
        return lacking

    def _gap_s(self, at_s: float | None) -> float:
        """How much silence comes before a frame that begins at `at_s`."""
        end_s = self.end_s - self._priming_s
        lead_s, self._lead_s = self._lead_s, 0.0
        if at_s is None:
            return lead_s
        if self._offset_s is None:
            starts_at_s = at_s if self._starts_at_s is None else self._starts_at_s
            # The first frame is where the stream begins, unless frames before it could not be decoded.
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
