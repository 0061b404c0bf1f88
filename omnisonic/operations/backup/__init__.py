"""Backup and restore: a whole installation in one archive (SPEC 1).

The archive is a tar file, written as a stream, whose members have this order:

| member | what it is |
| --- | --- |
| `backup.json` | format, version, migration, time, and the tables and sequences of the database |
| `database/TABLE/NUMBER` | the rows of a table in the text format of Postgres' COPY, in parts |
| `objects.jsonl` | the objects that the database names, one JSON object a line |
| `objects/KEY` | an object of the storage |
| `secrets/NAME` | a secret of the data directory |
| `manifest.jsonl` | name, size and SHA-256 of each member before it, one JSON object a line |

A backup reads the database first, in one transaction that sees one moment, and then copies the objects that the
database named at that moment. Objects never change. They are deleted only after their rows, and the garbage collector
deletes none while a backup runs (`COPY_LOCK`). So every object is still there when its turn comes. Segments
(`omnisonic.studio.segments`) are left out: they would double the archive, and are made again when somebody asks.

A restore changes nothing before all hashes were checked. It puts the objects and the secrets first, and commits the
rows last, in one transaction. Until then the installation counts as empty, so that a restore that was killed is simply
repeated. It takes as much room in memory as one block, whatever the size of the archive; so does a backup.
"""

from typing import Protocol

import msgspec

from omnisonic.errors import OmnisonicError


class ArchiveNotWritten(OmnisonicError):
    """The file of the archive cannot be written."""

    code = "archive_not_written"


class ArchiveNotRead(OmnisonicError):
    """The file of the archive cannot be read."""

    code = "archive_not_read"


class NotABackup(OmnisonicError):
    """The file is no archive of ours."""

    code = "not_a_backup"


class ArchiveDamaged(OmnisonicError):
    """The archive is not as it was written."""

    code = "archive_damaged"


class ArchiveTooNew(OmnisonicError):
    """The archive was made by a newer version than this one."""

    code = "archive_too_new"


class BackupRunning(OmnisonicError):
    """Another backup, or a migration, has the database."""

    code = "backup_running"


class NothingToBackUp(OmnisonicError):
    """There is no installation where the settings say."""

    code = "nothing_to_back_up"


class BackupIncomplete(OmnisonicError):
    """The archive was made, but the storage does not have all files that the database names."""

    code = "backup_incomplete"


class NotEmpty(OmnisonicError):
    """An archive can be restored only onto an empty installation."""

    code = "installation_not_empty"


class CannotRestore(OmnisonicError):
    """The database does not take what is in the archive. Nothing of it is in the database."""

    code = "cannot_restore"


class Summary(msgspec.Struct, kw_only=True, rename="camel"):
    """What an archive holds.

    Attributes:
        tables: How many tables.
        rows: Their rows. Unknown (None) until they are copied.
        files: How many objects of the storage.
        file_bytes: Their bytes.
        secrets: The names of the secrets.
        missing: Keys of objects that the database names and that are not there.
        damaged: Keys of objects whose size or hash is not what the database says.
    """

    tables: int = 0
    rows: int | None = None
    files: int = 0
    file_bytes: int = 0
    secrets: list[str] = []
    missing: list[str] = []
    damaged: list[str] = []


def count_files(number: int) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} file{'' if number == 1 else 's'}"


class Report(Protocol):
    """Is told how the work goes on."""

    def begin(self, what: str, total_bytes: int) -> None:
        """A step begins. `what` is a sentence, and 0 bytes means that nobody knows how many."""
        ...

    def advance(self, size_bytes: int) -> None:
        """So many more bytes of the step are done."""
        ...
