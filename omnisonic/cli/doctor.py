"""`omnisonic doctor`: runs all checks of the configuration, and prints what is wrong and how to mend it.

The checks are in `omnisonic.cli.doctor_checks`. All run at once, and each has `CHECK_S`. They change nothing: the
object that is put into the storage is deleted again, and no folder is created. Nothing printed holds a secret.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

import typer

from omnisonic.cli.check_failed import CheckFailed
from omnisonic.cli.doctor_checks import CHECKS
from omnisonic.errors import BadSettings, OmnisonicError
from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings
from omnisonic.stores.storage import StorageRefused

_log = logging.getLogger(__name__)

CHECK_S: Final = 10.0
TIMED: Final = ("database", "redis")
"""The checks that report how long an answer took."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        name: The name of the check.
        detail: A sentence that says what was found.
        mend: A sentence that says how to mend it; empty when nothing is wrong.
        is_warning: It works, but may be a mistake.

    """

    name: str
    detail: str
    mend: str = ""
    is_warning: bool = False

    @property
    def is_well(self) -> bool:
        return not self.mend or self.is_warning


def run(settings: Settings, *, as_json: bool) -> bool:
    """Run all checks and print the results. Returns whether everything works."""
    configure_logs(settings, "doctor")
    findings = asyncio.run(_run_checks(settings))
    is_well = all(finding.is_well for finding in findings)
    if as_json:
        checks = [
            {
                "name": each.name,
                "ok": each.is_well,
                "warning": each.is_warning,
                "detail": each.detail,
                "mend": each.mend or None,
            }
            for each in findings
        ]
        typer.echo(json.dumps({"ok": is_well, "checks": checks}))
    else:
        for finding in findings:
            typer.echo(f"{_mark(finding)}  {finding.name:<9}  {finding.detail}")
            if finding.mend:
                typer.echo(f"{'':<18}{finding.mend}")
        typer.echo(_summary(findings))
    return is_well


def _mark(finding: Finding) -> str:
    if finding.is_warning:
        return "warn "
    return "ok   " if finding.is_well else "WRONG"


def _summary(findings: list[Finding]) -> str:
    if not all(finding.is_well for finding in findings):
        return "Something is wrong: see above."
    return "It works; see the warnings above." if any(each.is_warning for each in findings) else "All is well."


async def _run_checks(settings: Settings) -> list[Finding]:
    async def run(name: str) -> Finding:
        check, mend = CHECKS[name]
        return await _run_check(name, check(settings), mend)

    # The checks that measure time run alone: importing the client for S3 blocks the loop, so others would look slow.
    found = {name: await run(name) for name in TIMED}
    others = [name for name in CHECKS if name not in TIMED]
    found |= zip(others, await asyncio.gather(*map(run, others)), strict=True)
    return [found[name] for name in CHECKS]


async def _run_check(name: str, check: Awaitable[str], mend: str) -> Finding:
    try:
        async with asyncio.timeout(CHECK_S):
            return Finding(name, await check)
    except CheckFailed as failed:
        return Finding(name, failed.message, failed.mend, failed.is_warning)
    except StorageRefused as refused:
        return Finding(name, refused.reason, mend)
    except BadSettings as bad:
        return Finding(name, " ".join(bad.problems), mend)
    except OmnisonicError as problem:
        return Finding(name, problem.message, mend)
    except TimeoutError:
        return Finding(name, f"No answer within {CHECK_S:g} s.", mend)
    except Exception as problem:  # noqa: BLE001 - the other checks are shown all the same
        _log.exception("doctor.check_crashed", extra={"check": name})
        return Finding(name, f"The check itself failed ({type(problem).__name__}): the log says where.", mend)
