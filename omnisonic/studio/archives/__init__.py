"""Archives: zip files for people to take home, and the names of the files in them (SPEC 3).

`.zip_stream` makes an archive while it is sent, `.session_files` lists what belongs into that of a session,
`.file_names` makes names that every file system takes.
"""

from omnisonic.errors import OmnisonicError

ZIP_TYPE = "application/zip"


class NothingToTake(OmnisonicError):
    """The session has no files."""

    code = "no_files"

    def __init__(self) -> None:
        super().__init__("There are no files in this session yet. Upload or record something first.")


class TooManyFiles(OmnisonicError):
    """The session has more files than one archive may have."""

    code = "too_many_files"

    def __init__(self, most: int) -> None:
        super().__init__(f"One archive holds at most {most} files. Download them one by one, or remove some.")
