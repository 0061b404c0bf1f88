"""The errors that users see, each with a stable code (SPEC 3 and 5.2).

A message is a sentence that tells a musician or an operator what to do. A code never changes after its release.
"""


class OmnisonicError(Exception):
    """Base class of the errors that Omnisonic raises on purpose.

    Attributes:
        code: A stable word for programs.
        message: A sentence for people, which may change between versions.

    Example:
        try:
            await room.ask("chat", {"text": "Hello"})
        except omnisonic.OmnisonicError as problem:
            print(problem.code, problem.message)
    """

    code = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(OmnisonicError):
    """An argument or a message cannot be accepted. `code` says which part of it.

    Hooks of a room raise it to refuse a message; its sender gets an `error` with this code and sentence.

    Args:
        message: A sentence for the sender.
        code: A word for programs.

    Example:
        raise omnisonic.InvalidInput("It is somebody else's turn.", code="not_your_turn")
    """

    def __init__(self, message: str, *, code: str = "invalid_input") -> None:
        super().__init__(message)
        self.code = code


class BadSettings(OmnisonicError):
    """The settings cannot be used. `problems` holds one sentence for each bad variable.

    Example:
        try:
            settings = omnisonic.Settings.load()
        except omnisonic.BadSettings as bad:
            print(bad.message)
    """

    code = "bad_settings"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Unavailable(OmnisonicError):
    """A service that is needed does not answer now. Try again later.

    Hooks may raise it: `admit`, and the function that `connect` gets as `ticket`, are called again later.

    Args:
        message: A sentence that says what does not answer.
        retry_after_s: When another attempt makes sense, in seconds.

    Example:
        raise omnisonic.Unavailable("The ticket office does not answer.", retry_after_s=5)
    """

    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class MissingExtra(OmnisonicError, ImportError):
    """What was called needs packages that `pip install omnisonic` alone does not bring. The message names the extra.

    Args:
        what: What was called.
        missing: The package that was not found.

    Example:
        try:
            app = omnisonic.create_app()
        except omnisonic.MissingExtra as missing:
            print(missing.message)
    """

    code = "missing_extra"

    def __init__(self, what: str, missing: ModuleNotFoundError) -> None:
        super().__init__(f"{what} needs {missing.name}, which is not installed. Run: pip install 'omnisonic[studio]'")


class WrongAsyncLibrary(OmnisonicError):
    """A function for trio was called in an asyncio program, or the other way round. The message says what to use.

    Example:
        asyncio.run(main())  # where main() uses omnisonic.connect: use omnisonic.aio.connect there
    """

    code = "wrong_async_library"
