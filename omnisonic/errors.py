"""The errors that cross a boundary of the product, each with a stable code (SPEC 3 and 5.2).

A message is one sentence that a musician or an operator can act on; a code never changes once released.
"""


class OmnisonicError(Exception):
    """Something went wrong that its reader can act on. `code` is stable, the message may be reworded."""

    code = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(OmnisonicError):
    """What the caller sent cannot be accepted. `code` says which part."""

    def __init__(self, message: str, *, code: str = "invalid_input") -> None:
        super().__init__(message)
        self.code = code


class BadSettings(OmnisonicError):
    """The environment cannot be used. `problems` holds one sentence for each bad variable."""

    code = "bad_settings"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Unavailable(OmnisonicError):
    """Something that this part depends on does not answer now; try again after `retry_after_s`."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
