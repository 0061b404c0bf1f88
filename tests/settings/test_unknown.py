"""Variables that look like settings and are none are told by name; those of others never are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisonic.settings.settings import known_variables
from omnisonic.settings.unknown import ORIGINAL, Unknown, unknown_settings

KNOWN = known_variables()
DOCUMENT = Path(__file__).parents[2] / "docs" / "from-the-original.md"


def reported(**environ: str) -> list[Unknown]:
    """What is told of this environment."""
    return unknown_settings(environ, KNOWN)


@pytest.mark.parametrize(
    ("variable", "likely"),
    [
        ("ROOM_ACCES", "ROOM_ACCESS"),
        ("room_acces", "ROOM_ACCESS"),
        ("NEXT_AUTH_SECRET", "NEXTAUTH_SECRET"),
        ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("ADMIN_TOKENS", "ADMIN_TOKEN"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("GITHUB_CLIENTID", "GITHUB_CLIENT_ID"),
        ("EXPORT_QUALITY", None),
        ("OMNISONIC_ENVIRONMENT", "OMNISONIC_ENV"),
    ],
)
def test_a_slip_of_the_pen_is_told_with_what_was_likely_meant(variable: str, likely: str | None) -> None:
    """By its likeness, or because nothing else begins like that."""
    assert reported(**{variable: "x"}) == [Unknown(variable, likely)]


@given(st.sampled_from(sorted(KNOWN - {name for name in KNOWN if name.startswith("AWS_")})), st.data())
def test_a_setting_with_one_letter_missing_is_told(variable: str, data: st.DataObject) -> None:
    """Whichever letter of whichever setting, from nine letters on."""
    at = data.draw(st.integers(1, len(variable) - 1))
    slip = variable[:at] + variable[at + 1 :]
    if len(variable) >= 9 and slip not in KNOWN:
        assert [unknown.variable for unknown in reported(**{slip: "x"})] == [slip]


@pytest.mark.parametrize(
    "variable",
    [
        *("PATH", "HOME", "LANG", "EDITOR", "HOSTNAME", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV", "XDG_RUNTIME_DIR"),
        *("AWS_SESSION_TOKEN", "AWS_SECRET_KEY", "AWS_ACCESS_KEY", "AWS_REGION", "OTEL_SERVICE_NAME", "OTEL_ENV"),
        *("GITHUB_TOKEN", "GITHUB_ACTIONS", "GITHUB_BASE_REF", "GITHUB_SERVER_URL", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("MINIO_ROOT_USER", "LIVEKIT_KEYS", "WEB_CONCURRENCY", "REDIS_HOST", "PGHOST", "DISCORD_TOKEN"),
        *("GATEWAY_SERVICE_HOST", "GATEWAY_PORT_8080_TCP_ADDR", "GATEWAY_INTERFACE", "STORAGE_EMULATOR_HOST"),
    ],
)
def test_what_belongs_to_others_is_never_told(variable: str) -> None:
    """Shells, AWS, OpenTelemetry, GitHub's runners, other servers, Kubernetes."""
    assert reported(**{variable: "x"}) == []


def test_settings_and_empty_variables_are_no_slips() -> None:
    """An empty value is how shells unset a variable for one command."""
    assert reported(**dict.fromkeys(KNOWN, "x")) == []
    assert reported(ROOM_ACCES="") == []


def test_a_sentence_says_what_to_do() -> None:
    """With a suggestion, where there is one."""
    assert Unknown("ROOM_ACCES", "ROOM_ACCESS").sentence() == (
        "ROOM_ACCES is set, but there is no such setting: did you mean ROOM_ACCESS?"
    )
    assert Unknown("EXPORT_QUALITY", None).sentence() == "EXPORT_QUALITY is set, but there is no such setting."


@pytest.mark.parametrize("variable", sorted(ORIGINAL))
def test_a_setting_of_the_original_is_told_with_what_replaces_it(variable: str) -> None:
    """By a sentence of its own, which the document for those who come from there has as well."""
    (unknown,) = reported(**{variable: "x"})
    assert unknown.variable == variable
    assert unknown.sentence() == f"{variable} is set, but not read. {ORIGINAL[variable].advice}"
    assert f"`{variable}`" in DOCUMENT.read_text()


@pytest.mark.parametrize("variable", sorted(name for name, replaced in ORIGINAL.items() if replaced.by))
def test_whoever_has_set_what_replaces_it_is_not_told(variable: str) -> None:
    """A host that sets PORT for all that it runs gets no warning with each start."""
    replaced = ORIGINAL[variable]
    assert set(replaced.by) <= KNOWN
    assert reported(**{variable: "x"}, **{replaced.by[0]: "1"}) == []


def test_the_original_shares_no_other_name_with_us() -> None:
    """What is a setting here is read, and never told of."""
    assert not ORIGINAL.keys() & KNOWN
