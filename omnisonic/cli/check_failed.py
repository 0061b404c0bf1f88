"""What a check of `omnisonic doctor` raises."""

from omnisonic.errors import OmnisonicError


class CheckFailed(OmnisonicError):
    """Something is wrong; `mend` says what to do."""

    is_warning = False

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


class CheckWarning(CheckFailed):
    """It works, but may be a mistake."""

    is_warning = True
