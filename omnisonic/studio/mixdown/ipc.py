"""What the process that mixes is told, and what it tells: JSON, the order as one object, each news as one line."""

from typing import TypeAlias

import msgspec

from omnisonic.models import ExportFormat
from omnisonic.studio.mixdown import Bits, Mixed, Project


class Order(msgspec.Struct, frozen=True):
    """Mix these. `files` and `output` are descriptors of open files; the files in the order of the project's stems."""

    project: Project
    format: ExportFormat
    bits: Bits
    files: list[int]
    output: int


class Progress(msgspec.Struct, frozen=True, tag_field="news", tag="progress"):
    """So much is done, from 0 to 1."""

    done: float


class Done(msgspec.Struct, frozen=True, tag_field="news", tag="mixed"):
    """The mix is in its file. The last news."""

    mixed: Mixed


class Unusable(msgspec.Struct, frozen=True, tag_field="news", tag="unusable"):
    """There is no mix, which is a file's fault. The last news."""

    sentence: str


class Failed(msgspec.Struct, frozen=True, tag_field="news", tag="failed"):
    """There is no mix, and no file is to blame. The last news."""

    sentence: str


News: TypeAlias = Progress | Done | Unusable | Failed
