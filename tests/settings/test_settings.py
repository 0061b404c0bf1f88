"""Settings: what the environment may say, and the sentences when it says something else."""

import secrets
from pathlib import Path

import pytest
from pydantic import ValidationError

from omnisonic.errors import BadSettings
from omnisonic.settings.fields import variable_of
from omnisonic.settings.settings import Settings, explain, settings_table


def problems(**environ: str) -> list[str]:
    """The sentences that this environment gets."""
    with pytest.raises(BadSettings) as caught:
        Settings.load(environ)
    return caught.value.problems


def test_a_room_class_is_a_module_and_a_class() -> None:
    """Whether they exist is asked when the gateway starts."""
    assert Settings.load({"GATEWAY_ROOMS": "band.rooms:Jam"}).gateway_rooms == "band.rooms:Jam"
    for wrong in ("band", "band.rooms.Jam", ":Jam", "band:", "band:Jam:x", "../band:Jam", "band:1"):
        assert problems(GATEWAY_ROOMS=wrong) == [
            f'GATEWAY_ROOMS is "{wrong}": it must be a module and a class, such as band.rooms:Jam.'
        ]


def test_an_empty_environment_is_a_studio_on_loopback() -> None:
    """Defaults are right for one machine."""
    settings = Settings.load({})
    assert (settings.web_host, settings.web_port) == ("127.0.0.1", 3000)
    assert (settings.gateway_host, settings.gateway_port) == ("127.0.0.1", 8080)
    assert settings.access == "open"
    assert not settings.is_production
    assert settings.redis_url is None


def test_every_problem_is_told_at_once() -> None:
    """Nobody mends one variable after the other."""
    reported = problems(WEB_PORT="abc", PRESENCE_TTL="5", ROOM_ACCESS="closed", REDIS_URL="http://x")
    assert [sentence.split()[0] for sentence in reported] == ["WEB_PORT", "REDIS_URL", "PRESENCE_TTL", "ROOM_ACCESS"]


@pytest.mark.parametrize(
    ("variable", "value", "demand"),
    [
        ("WEB_PORT", "abc", "it must be a whole number."),
        ("WEB_PORT", "65536", "it must be at most 65535."),
        ("GATEWAY_PORT", "-1", "it must be at least 0."),
        ("PRESENCE_TTL", "14", "it must be at least 15."),
        ("PRESENCE_TTL", "901", "it must be at most 900."),
        ("MEMBER_RATE_PER_S", "fast", "it must be a number."),
        ("MEMBER_RATE_PER_S", "inf", "it must be a number."),
        ("MEMBER_BURST", "1.5", "it must be a whole number."),
        ("OMNISONIC_ENV", "staging", "it must be development or production."),
        ("ROOM_ACCESS", "closed", "it must be open or ticket."),
        ("REDIS_URL", "localhost:6379", "it must begin with redis://, rediss:// or unix://."),
        ("REDIS_URL", "redis://", "it must name a host, as in redis://studio.example."),
        ("REDIS_URL", "unix://", "it must name the socket's file, as in unix:///run/valkey.sock."),
        ("REDIS_URL", "redis://h:99999", "its port must be a number from 0 to 65535."),
        ("REDIS_URL", "redis://a:6379,b:x", "its port must be a number from 0 to 65535."),
        ("REDIS_URL", "redis://a,,b", "it has a comma without a host."),
        ("GATEWAY_PUBLIC_URL", "https://x", "it must begin with ws:// or wss://."),
        ("NEXTAUTH_URL", "studio.example", "it must begin with http:// or https://."),
        *(
            (variable, url, "it must be a URL without a password, a query or a fragment.")
            for variable, scheme in (("GATEWAY_PUBLIC_URL", "wss"), ("NEXTAUTH_URL", "https"), ("LIVEKIT_URL", "wss"))
            for url in (f"{scheme}://a.example/x#", f"{scheme}://a.example/?x=1")
        ),
        ("ALLOWED_ORIGINS", "*", "'*' is not an origin such as https://studio.example."),
        ("ALLOWED_ORIGINS", "null", "'null' is not an origin such as https://studio.example."),
        (
            "ALLOWED_ORIGINS",
            "https://a.example/x",
            "'https://a.example/x' is not an origin such as https://studio.example.",
        ),
        (
            "ALLOWED_ORIGINS",
            "https://me@a.example",
            "'https://me@a.example' is not an origin such as https://studio.example.",
        ),
        ("WEB_WORKERS", "0", "it must be at least 1."),
        ("GATEWAY_WORKERS", "0", "it must be at least 1."),
        ("GATEWAY_WORKERS", "65", "it must be at most 64."),
        ("GATEWAY_WORKERS", "many", "it must be a whole number, or auto."),
        ("AUTH_ENABLE_CREDENTIALS", "perhaps", "it must be true or false."),
        ("TRUSTED_PROXIES", "10.0.0.0/8, proxy", "each must be an address or a network such as 10.0.0.0/8."),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "each must be an address or a network such as 10.0.0.0/8."),
        ("DATABASE_URL", "mysql://db/omnisonic", "it must begin with postgresql:// or postgres://."),
        ("DATABASE_URL", "postgresql:///omnisonic", "it must name a host, as in postgresql://studio.example."),
        ("GITHUB_BASE_URL", "github.example", "it must begin with http:// or https://."),
        ("STORAGE_TYPE", "gcs", "it must be local, minio or s3."),
        ("STORAGE_CDN_URL", "cdn.example", "it must begin with http:// or https://."),
        ("MINIO_ENDPOINT", "minio:9000", "it must begin with http:// or https://."),
        (
            "STORAGE_CDN_URL",
            "https://cdn.example/?key=1",
            "it must be a URL without a password, a query or a fragment.",
        ),
        (
            "S3_BUCKET_NAME",
            "My Bucket",
            "it must be a bucket's name: 3 to 63 small letters, digits, dots and hyphens.",
        ),
        ("UPLOAD_MAX_BYTES", "0", "it must be at least 1."),
        ("UPLOAD_MAX_BYTES", "100 MB", "it must be a whole number."),
        ("UPLOAD_QUOTA_BYTES", "-1", "it must be at least 0."),
        ("UPLOAD_RETENTION_DAYS", "0", "it must be at least 1."),
        ("EXPORT_MAX_ACTIVE", "-1", "it must be at least 0."),
        ("EXPORT_WORKER_CONCURRENCY", "0", "it must be at least 1."),
        ("EXPORT_MAX_DURATION_SECONDS", "0", "it must be at least 1."),
        ("EXPORT_RETENTION_DAYS", "0", "it must be at least 1."),
        ("LIVEKIT_URL", "livekit.example", "it must begin with ws://, wss://, http:// or https://."),
        ("ALLOWED_HOSTS", "https://a.example", "'https://a.example' is not a host's name such as studio.example."),
        *(
            ("ALLOWED_HOSTS", value, f"'{value}' is not a host's name such as studio.example.")
            for value in (
                "*.example",
                ".example",
                "a.example:http",
                "a.example..",
                ":443",
                "[a.example]",
                "[::1]x",
                "ä.b",
            )
        ),
    ],
)
def test_a_bad_value_gets_a_sentence_that_names_its_variable(variable: str, value: str, demand: str) -> None:
    """The sentence shows the value and says what it must be."""
    assert problems(**{variable: value}) == [f'{variable} is "{value}": {demand}']


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_URL", "user:canary@host:7"),
        ("REDIS_URL", "http://:canary@host"),
        ("DATABASE_URL", "postgresql://me:canary@host:99999/x"),
        ("DATABASE_URL", "postgresql://me:can/canary@host:5432/x"),
        ("DATABASE_URL", "me:canary@host/x"),
        ("DATABASE_URL", "postgresql://me:canary@[host/x"),
        ("DATABASE_URL", "postgresql://me:canary@host\u2100/x"),
        ("DATABASE_URL", "http://host/x?user=me&password=canary"),
        ("NEXTAUTH_URL", "ftp://me:canary@studio.example"),
        ("MINIO_ENDPOINT", "http://me:canary@minio:9000"),
    ],
)
def test_a_password_in_a_bad_url_is_not_repeated(variable: str, value: str) -> None:
    """Sentences end up on terminals and in tickets."""
    [sentence] = problems(**{variable: value})
    assert "canary" not in sentence
    assert sentence.startswith(variable)


def test_no_secret_is_in_the_words_for_settings() -> None:
    """Whoever logs or prints them, or an error about them, tells nothing."""
    kept = {
        "NEXTAUTH_SECRET": "canary" * 8,
        "NEXTAUTH_SECRET_PREVIOUS": "canary" * 7,
        "METRICS_TOKEN": "canary",
        "ADMIN_TOKEN": "canary",
        "DATABASE_URL": "postgresql://me:canary@db/x",
        "REDIS_URL": "redis://:canary@valkey",
        "LIVEKIT_URL": "wss://livekit.example",
        "LIVEKIT_API_KEY": "key",
        "LIVEKIT_API_SECRET": "canary",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "canary",
        "MINIO_SECRET_KEY": "canary",
    }
    for provider in ("GITHUB", "GOOGLE", "DISCORD"):
        kept |= {f"{provider}_CLIENT_ID": "id", f"{provider}_CLIENT_SECRET": "canary"}
    settings = Settings.load(kept)
    assert "canary" not in f"{settings!r} {settings}"
    assert "canary" not in "".join(problems(**kept, WEB_PORT="abc"))


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"),
        ("DISCORD_CLIENT_SECRET", "DISCORD_CLIENT_ID"),
        ("LIVEKIT_API_KEY", "LIVEKIT_URL"),
        ("LIVEKIT_API_SECRET", "LIVEKIT_API_KEY"),
    ],
)
def test_what_works_only_together_must_be_set_together(given: str, missing: str) -> None:
    """A provider that is half set up would fail at the first sign-in."""
    assert problems(**{given: "canary"}) == [f"{missing} is not set, and {given} needs it."]


S3 = {"STORAGE_TYPE": "s3", "S3_BUCKET_NAME": "stems", "S3_REGION": "eu-central-1"}
MINIO = {
    "STORAGE_TYPE": "minio",
    "MINIO_ENDPOINT": "http://minio:9000/",
    "MINIO_BUCKET_NAME": "stems",
    "MINIO_ACCESS_KEY": "id",
    "MINIO_SECRET_KEY": "canary",
}


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        *[(S3, variable) for variable in S3 if variable != "STORAGE_TYPE"],
        *[(MINIO, variable) for variable in MINIO if variable != "STORAGE_TYPE"],
    ],
)
def test_storage_that_lacks_something_stops_the_start(environ: dict[str, str], missing: str) -> None:
    """It would fail at the first upload."""
    lacking = {variable: value for variable, value in environ.items() if variable != missing}
    [sentence] = problems(**lacking)
    assert sentence == f"{missing} is not set, and STORAGE_TYPE={environ['STORAGE_TYPE']} needs it."


def test_storage_is_local_unless_somebody_says_so() -> None:
    """In the data directory; what belongs to another kind is not needed then."""
    assert Settings.load({}).storage_type == "local"
    assert Settings.load({"OMNISONIC_DATA_DIR": "/srv/x"}).local_storage_dir == Path("/srv/x/uploads")
    assert Settings.load({"STORAGE_LOCAL_DIR": "/srv/stems"}).local_storage_dir == Path("/srv/stems")
    assert Settings.load(MINIO).minio_endpoint == "http://minio:9000"


def test_the_keys_of_s3_are_the_machines_role_unless_both_are_set() -> None:
    """One of them alone is a mistake."""
    assert Settings.load(S3).aws_access_key_id is None
    assert problems(**S3, AWS_ACCESS_KEY_ID="id") == [
        "AWS_SECRET_ACCESS_KEY is not set, and AWS_ACCESS_KEY_ID needs it."
    ]


def test_the_keys_of_aws_are_those_of_minio_where_it_has_none_of_its_own() -> None:
    """Both or neither come from there, and half of a pair is a mistake."""
    bare = {variable: value for variable, value in MINIO.items() if not variable.endswith("_KEY")}
    aws = {"AWS_ACCESS_KEY_ID": "aws id", "AWS_SECRET_ACCESS_KEY": "aws canary"}

    def keys(environ: dict[str, str]) -> tuple[str | None, str | None]:
        name, secret = Settings.load(environ).minio_keys()
        return name, secret.get_secret_value() if secret else None

    assert keys(bare | aws) == ("aws id", "aws canary")
    assert keys(MINIO | aws) == ("id", "canary")
    assert problems(**bare, MINIO_ACCESS_KEY="id", **aws) == [
        "MINIO_SECRET_KEY is not set, and STORAGE_TYPE=minio needs it."
    ]
    assert problems(**bare, AWS_ACCESS_KEY_ID="id") == [
        "AWS_SECRET_ACCESS_KEY is not set, and AWS_ACCESS_KEY_ID needs it."
    ]


def test_a_provider_is_on_when_it_is_set_up() -> None:
    """And credentials where nobody says otherwise, in development only."""
    github = {"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "secret"}
    assert Settings.load(github).providers_on == ("github",)
    assert Settings.load({}).providers_on == ()
    assert Settings.load({}).credentials_on
    assert not Settings.load({"OMNISONIC_ENV": "production"}).credentials_on
    assert Settings.load({"OMNISONIC_ENV": "production", "AUTH_ENABLE_CREDENTIALS": "true"}).credentials_on
    assert not Settings.load({"AUTH_ENABLE_CREDENTIALS": "false"}).credentials_on


SAFE = "kJ8vX2qLw9ZtR4nB7mC1yH6pD3sF5gA0"
"""32 bytes, none of them guessed."""


@pytest.mark.parametrize(
    ("environ", "about"),
    [
        ({}, ["NEXTAUTH_SECRET", "GITHUB_CLIENT_ID"]),
        ({"NEXTAUTH_SECRET": SAFE[:-1], "AUTH_ENABLE_CREDENTIALS": "true"}, ["NEXTAUTH_SECRET"]),
        ({"NEXTAUTH_SECRET": "changeme-" * 4, "AUTH_ENABLE_CREDENTIALS": "true"}, ["NEXTAUTH_SECRET"]),
        ({"NEXTAUTH_SECRET": SAFE, "ADMIN_TOKEN": "a", "AUTH_ENABLE_CREDENTIALS": "true"}, ["ADMIN_TOKEN"]),
        ({"NEXTAUTH_SECRET": SAFE, "METRICS_TOKEN": "a", "AUTH_ENABLE_CREDENTIALS": "true"}, ["METRICS_TOKEN"]),
        (
            {"NEXTAUTH_SECRET": SAFE, "NEXTAUTH_SECRET_PREVIOUS": "a", "AUTH_ENABLE_CREDENTIALS": "true"},
            ["NEXTAUTH_SECRET_PREVIOUS"],
        ),
        ({"NEXTAUTH_SECRET": "secret" * 10, "AUTH_ENABLE_CREDENTIALS": "true"}, ["NEXTAUTH_SECRET"]),
        ({"NEXTAUTH_SECRET": SAFE}, ["GITHUB_CLIENT_ID"]),
        ({"NEXTAUTH_SECRET": SAFE, "GOOGLE_CLIENT_ID": "x", "GOOGLE_CLIENT_SECRET": "x"}, ["GITHUB_CLIENT_ID"]),
        ({"NEXTAUTH_SECRET": SAFE, "AUTH_ENABLE_CREDENTIALS": "true"}, []),
        ({"NEXTAUTH_SECRET": SAFE, "GITHUB_CLIENT_ID": "x", "GITHUB_CLIENT_SECRET": "x"}, []),
    ],
)
def test_production_starts_only_when_people_can_sign_in_safely(environ: dict[str, str], about: list[str]) -> None:
    """All that is missing is told at once, and development does without."""
    reported: list[str] = []
    try:
        Settings.load({"OMNISONIC_ENV": "production", **environ}).check_sign_in()
    except BadSettings as problem:
        reported = problem.problems
    assert [sentence.split()[0] for sentence in reported] == about
    Settings.load(environ).check_sign_in()


def test_a_gateway_needs_the_secret_alone() -> None:
    """Nobody signs in there."""
    Settings.load({"OMNISONIC_ENV": "production", "NEXTAUTH_SECRET": SAFE}).check_secret()
    with pytest.raises(BadSettings):
        Settings.load({"OMNISONIC_ENV": "production"}).check_secret()


def test_a_database_on_a_unix_socket_can_be_named() -> None:
    """As Debian's packages have it."""
    url = "postgresql:///omnisonic?host=/var/run/postgresql"
    assert Settings.load({"DATABASE_URL": url}).database_url == url


def test_proxies_are_addresses_and_networks() -> None:
    """Of both kinds."""
    proxies = Settings.load({"TRUSTED_PROXIES": "10.0.0.0/8, ::1"}).trusted_proxies
    assert [str(network) for network in proxies] == ["10.0.0.0/8", "::1/128"]


def test_an_empty_variable_counts_as_absent() -> None:
    """`WEB_PORT= omnisonic web` is how shells unset a variable for one command."""
    assert Settings.load({"WEB_PORT": "", "REDIS_URL": ""}) == Settings.load({})


def test_variables_nobody_knows_are_ignored() -> None:
    """The environment belongs to others, too."""
    assert Settings.load({"EDITOR": "vi", "WEB_PORTS": "x"}) == Settings.load({})


def test_settings_cannot_be_changed() -> None:
    """They are read once."""
    with pytest.raises(ValidationError):
        Settings.load({}).web_port = 1


def test_the_data_directory_is_called_by_its_own_variable() -> None:
    """`OMNISONIC_DATA_DIR`, not `DATA_DIR`."""
    assert Settings.load({"OMNISONIC_DATA_DIR": "/srv/studio", "DATA_DIR": "/x"}).data_dir == Path("/srv/studio")


@pytest.mark.parametrize(
    ("environ", "access"),
    [
        ({}, "open"),
        ({"GATEWAY_HOST": "localhost"}, "open"),
        ({"GATEWAY_HOST": "::1"}, "open"),
        ({"GATEWAY_HOST": "0.0.0.0"}, "ticket"),
        ({"GATEWAY_HOST": "192.0.2.7"}, "ticket"),
        ({"WEB_HOST": "0.0.0.0"}, "ticket"),
        ({"OMNISONIC_ENV": "production"}, "ticket"),
        ({"NEXTAUTH_URL": "http://localhost:3000"}, "open"),
        ({"NEXTAUTH_URL": "http://[::1]:3000/"}, "open"),
        ({"NEXTAUTH_URL": "https://studio.example"}, "ticket"),
        ({"NEXTAUTH_URL": "http://localhost.studio.example"}, "ticket"),
        ({"GATEWAY_PUBLIC_URL": "wss://studio.example/rooms"}, "ticket"),
        ({"GATEWAY_PUBLIC_URL": "ws://127.0.0.1:8080"}, "ticket"),
        (
            {
                "OMNISONIC_ENV": "production",
                "NEXTAUTH_URL": "https://studio.example",
                "GATEWAY_PUBLIC_URL": "wss://studio.example/rooms",
            },
            "ticket",
        ),
        ({"GATEWAY_HOST": "0.0.0.0", "ROOM_ACCESS": "open"}, "open"),
        ({"OMNISONIC_ENV": "production", "ROOM_ACCESS": "open"}, "open"),
        ({"ROOM_ACCESS": "ticket"}, "ticket"),
    ],
)
def test_rooms_are_open_only_where_nobody_else_can_come_unless_somebody_says_so(
    environ: dict[str, str], access: str
) -> None:
    """In development, on loopback, nothing public configured; the documented proxy without its line is not that."""
    assert Settings.load(environ).access == access


@pytest.mark.parametrize(
    ("environ", "is_on"),
    [
        ({}, True),
        ({"OMNISONIC_ENV": "production"}, False),
        ({"OMNISONIC_ENV": "production", "PARITY_ENABLED": "true"}, True),
        ({"PARITY_ENABLED": "false"}, False),
    ],
)
def test_the_parity_service_is_off_in_production_unless_somebody_says_so(environ: dict[str, str], is_on: bool) -> None:
    """It has no sign-in."""
    assert Settings.load(environ).parity_on is is_on


@pytest.mark.parametrize("token", ["a", "short-but-random-9Zk3", "changeme-changeme-changeme-changeme", "a" * 64])
def test_production_refuses_an_operators_token_that_can_be_guessed(token: str) -> None:
    """Whatever is started with it; development takes it, and production a random one."""
    settings = Settings.load({"OMNISONIC_ENV": "production", "NEXTAUTH_SECRET": SAFE, "ADMIN_TOKEN": token})
    for check in (settings.check_tokens, settings.check_secret):
        with pytest.raises(BadSettings, match=r"^ADMIN_TOKEN is too easy to guess: .*`openssl rand -hex 32`.*\.$"):
            check()
    Settings.load({"ADMIN_TOKEN": token}).check_tokens()
    random = {"OMNISONIC_ENV": "production", "ADMIN_TOKEN": secrets.token_urlsafe(18)}
    Settings.load(random).check_tokens()


def test_the_webs_own_origins_are_allowed_under_all_names_of_loopback() -> None:
    """A visitor may have typed either name."""
    policy = Settings.load({}).origin_policy(3000)
    assert policy.origins == {"http://127.0.0.1:3000", "http://localhost:3000", "http://[::1]:3000"}


def test_an_origin_has_no_default_port_as_browsers_send_it() -> None:
    """RFC 6454: `http://localhost:80` is sent as `http://localhost`."""
    assert Settings.load({}).origin_policy(80).allows("http://localhost")
    assert Settings.load({"ALLOWED_ORIGINS": "https://a.example:443"}).origin_policy(3000).allows("https://a.example")
    assert Settings.load({"NEXTAUTH_URL": "https://A.example:443/x"}).origin_policy(3000).allows("https://a.example")


def test_allowed_origins_replace_the_webs_own() -> None:
    """Exactly those, in any spelling of case and with or without a slash at the end."""
    policy = Settings.load({"ALLOWED_ORIGINS": " https://A.example/ ,http://b.example:8000"}).origin_policy(3000)
    assert policy.origins == {"https://a.example", "http://b.example:8000"}


def test_a_listener_answers_to_its_own_names_only() -> None:
    """Anything else could be a rebound name."""
    policy = Settings.load({"NEXTAUTH_URL": "https://studio.example"}).host_policy("127.0.0.1")
    assert policy.allows("localhost:3000")
    assert policy.allows("studio.example")
    assert not policy.allows("evil.example")
    assert not policy.allows("192.0.2.7:3000")


def test_a_listener_on_every_address_answers_to_addresses_but_not_to_any_name() -> None:
    """Nobody can list the addresses; a rebinding attack comes by a name."""
    policy = Settings.load({}).host_policy("0.0.0.0")
    assert policy.allows("192.0.2.7:3000")
    assert policy.allows("[2001:db8::7]:3000")
    assert not policy.allows("evil.example")


@pytest.mark.parametrize("host", ["FD00:0::1", "fd00::1"])
def test_an_address_of_ipv6_is_the_same_however_the_operator_writes_it(host: str) -> None:
    """As a host that is answered, and as the origin of the studio's own pages."""
    settings = Settings.load({"WEB_HOST": host})
    assert settings.host_policy(host).allows("[fd00::1]:3000")
    assert settings.origin_policy(3000).allows("http://[fd00::1]:3000")


def test_allowed_hosts_replace_the_names_bound_to() -> None:
    """Exactly those."""
    policy = Settings.load({"ALLOWED_HOSTS": "Studio.example"}).host_policy("0.0.0.0")
    assert policy.allows("studio.example:443")
    assert not policy.allows("localhost")


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("studio.example:3000", "studio.example:3000"),
        ("studio.example:", "studio.example"),
        ("studio.example.", "Studio.example"),
        ("band_studio", "band_studio:80"),
        ("[::1]", "[::1]:3000"),
        ("[::1]:3000", "[::1]"),
        ("2001:0DB8:0::7", "[2001:db8::7]"),
        ("192.0.2.7:3000", "192.0.2.7"),
    ],
)
def test_an_allowed_host_is_known_however_it_is_written(value: str, host: str) -> None:
    """As browsers show it, with a port, or with brackets. Such a value would match nothing."""
    assert Settings.load({"ALLOWED_HOSTS": value}).host_policy("0.0.0.0").allows(host)


def test_the_dot_of_an_absolute_name_makes_no_difference() -> None:
    """In a public URL and in an allowed origin."""
    settings = Settings.load({"NEXTAUTH_URL": "https://studio.example./"})
    assert settings.host_policy("127.0.0.1").allows("studio.example")
    assert settings.origin_policy(3000).allows("https://studio.example")
    allowed = Settings.load({"ALLOWED_ORIGINS": "https://studio.example."}).origin_policy(3000)
    assert allowed.allows("https://studio.example.")


def test_every_setting_is_explained() -> None:
    """Help and documentation are made of the descriptions, so each has one."""
    table = settings_table()
    for field in Settings.model_fields:
        assert explain(field)
        assert f"| `{variable_of(field)}` | {explain(field)} |" in table
