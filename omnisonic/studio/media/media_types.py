"""What the containers that are decoded are called on the web: the one table, by FFmpeg's first name for each. All are
sound or films: nothing that a browser runs.
"""

from typing import Final

MEDIA_TYPES: Final = {
    "aac": "audio/aac",
    "ac3": "audio/ac3",
    "aiff": "audio/aiff",
    "amr": "audio/amr",
    "ape": "audio/x-ape",
    "asf": "video/x-ms-asf",
    "au": "audio/basic",
    "avi": "video/x-msvideo",
    "caf": "audio/x-caf",
    "dsf": "audio/x-dsf",
    "eac3": "audio/eac3",
    "flac": "audio/flac",
    "flv": "video/x-flv",
    "matroska": "video/x-matroska",
    "mov": "video/mp4",
    "mp3": "audio/mpeg",
    "mpeg": "video/mpeg",
    "mpegts": "video/mp2t",
    "ogg": "audio/ogg",
    "tta": "audio/x-tta",
    "w64": "audio/x-w64",
    "wav": "audio/wav",
    "wv": "audio/x-wavpack",
}
