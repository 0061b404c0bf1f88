"""The systemd units of a studio: one for everything, or one for each process, and a nightly backup (SPEC 9). Pure.

They take away the rights that the studio does not need. There is no `SystemCallFilter=`, because the processes that
decode uploads lock themselves in with Landlock and seccomp, and must be allowed to do that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

NICENESS: Final = 10
"""For what comes after the rooms, as under `serve`."""
BACKLOG: Final = 4096
"""Connections that wait in a socket while its process is restarted."""
BACKUPS: Final = "/var/backups/omnisonic"
BACKUP_DAYS: Final = 14
PARTS: Final = {"gateway": "rooms", "web": "pages and REST", "worker": "mixdowns and waveforms"}
"""The processes, and what they are for."""
_PLAIN: Final = re.compile(r"[\w./@+:-]+")

_NETWORK: Final = """\
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0
"""
"""And it is never given up: a database may be away, or a backup at work, for longer than systemd tries."""
_KEEP: Final = (
    f"cd {BACKUPS} && dated=omnisonic-$$(date -r omnisonic.tar +%%F).tar && "
    "{ test omnisonic.tar -ef $$dated || { ln -f omnisonic.tar $$dated && "
    f'find . -name "omnisonic-*.tar" -mtime +{BACKUP_DAYS} -delete; }}; }}'
)
"""Gives a new archive the date when it was made as its second name, in the words of a unit."""
_RIGHTS: Final = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
ProtectControlGroups=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
"""
_INSTALLED: Final = """\
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a studio is installed. `listeners` are the addresses of those parts that listen, such as 127.0.0.1:8080."""

    program: PurePath
    account: str
    settings_file: PurePath
    listeners: Mapping[str, str]


def studio_unit(place: Place) -> dict[str, str]:
    """One unit that runs everything, by the name of its file."""
    unit = f"""\
[Unit]
Description=Omnisonic Studio
{_NETWORK}
[Service]
{_service(place)}ExecStart={_word(place.program)} serve
Restart=on-failure
KillMode=mixed
{_LIMITS}{_RIGHTS}
{_INSTALLED}"""
    return {"omnisonic.service": unit}


def part_units(place: Place) -> dict[str, str]:
    """A unit for each process, and what they share, by the names of their files.

    Those that listen get sockets that systemd keeps open, so that a restart refuses nobody.
    """
    units = {"omnisonic-.service.d/shared.conf": _shared(place)}
    for part, purpose in PARTS.items():
        listener = place.listeners.get(part)
        if listener is not None:
            units[f"omnisonic-{part}.socket"] = _socket(listener)
        units[f"omnisonic-{part}.service"] = _part(place, part, purpose, has_socket=listener is not None)
    return units


def backup_units(place: Place) -> dict[str, str]:
    """A backup every night, kept for `BACKUP_DAYS`, by the names of its files.

    They are not called `omnisonic-…`, because a backup that failed must not be repeated like a part that ended. An
    archive that lacks files fails, too, and is kept like the others; what is old is deleted only when one was made.
    """
    newest = f"{BACKUPS}/omnisonic.tar"
    service = f"""\
[Unit]
Description=Omnisonic Studio: backup
After=network-online.target omnisonic.service
Wants=network-online.target

[Service]
Type=oneshot
{_service(place)}ExecStart={_word(place.program)} backup --force {newest}
ExecStopPost=/bin/sh -c '{_KEEP}'
ReadWritePaths={BACKUPS}
Nice={NICENESS}
IOSchedulingClass=idle
{_RIGHTS}"""
    return {"backup-omnisonic.service": service, "backup-omnisonic.timer": _TIMER}


_TIMER: Final = """\
[Unit]
Description=Omnisonic Studio: backup every night

[Timer]
OnCalendar=*-*-* 03:30
RandomizedDelaySec=15min
Persistent=true

[Install]
WantedBy=timers.target
"""
_LIMITS: Final = """\
RestartSec=1
RestartPreventExitStatus=2
TimeoutStopSec=15
LimitNOFILE=65536
"""


def _service(place: Place) -> str:
    return f"""\
User={place.account}
StateDirectory=omnisonic
StateDirectoryMode=0700
Environment=OMNISONIC_ENV=production OMNISONIC_DATA_DIR=/var/lib/omnisonic
EnvironmentFile={_specifiers(str(place.settings_file))}
"""


def _shared(place: Place) -> str:
    return f"""\
[Unit]
{_NETWORK}
[Service]
{_service(place)}Restart=always
{_LIMITS}{_RIGHTS}"""


def _socket(listener: str) -> str:
    return f"""\
[Socket]
ListenStream={listener}
Backlog={BACKLOG}

[Install]
WantedBy=sockets.target
"""


def _part(place: Place, part: str, purpose: str, *, has_socket: bool) -> str:
    socket = f"omnisonic-{part}.socket"
    needs = f"Requires={socket}\nAfter={socket}\n" if has_socket else ""
    command = f"{_word(place.program)} {part}" + (" --fd 3" if has_socket else "")
    niceness = "" if part == "gateway" else f"Nice={NICENESS}\n"
    return f"""\
[Unit]
Description=Omnisonic Studio: {purpose}
{needs}
[Service]
ExecStart={command}
{niceness}
{_INSTALLED}"""


def _word(path: PurePath) -> str:
    """A path as one word of a command. That of a program can have no quotes and no backslashes (systemd.service(5))."""
    text = _specifiers(str(path))
    return text if _PLAIN.fullmatch(str(path)) else f'"{text}"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")
