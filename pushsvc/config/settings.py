"""Every setting, with its default and what it is for."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from pushsvc.config.file import PREFIX, read_file

#: Settings with a secret in their value, which no message may show.
SECRET_SETTINGS = frozenset({"database_url", "gateway_proxy_url", "redis_url", "secret_key"})
#: What no mount of the Parse API may hide, by the first part of the path.
TAKEN_PATHS = frozenset({"v1", "livez", "readyz", "healthz"})


class Settings(BaseSettings):
    """Every setting, from `PUSHSVC_<NAME>` in the environment, else from the settings file."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    database_url: str | None = Field(
        None,
        description="PostgreSQL 14+, as postgresql://user:password@host/database. "
        "Unset: an embedded PostgreSQL in the data directory.",
    )
    redis_url: str | None = Field(
        None,
        description="Redis 6+, as redis://host:6379/0. Unset: an embedded Redis in the data "
        "directory.",
    )
    data_dir: Path | None = Field(
        None,
        description="Where embedded servers and generated secrets live. Unset: "
        "/var/lib/pushsvc for root, else ~/.local/share/pushsvc.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="32 random bytes in base64, which encrypt gateway credentials at rest "
        "(`openssl rand -base64 32`). Required with a configured database; the embedded one "
        "has its own in the data directory.",
    )
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8420, ge=0, le=65535, description="Port the API listens on; 0 for any.")
    parse_mount: str = Field(
        "/parse",
        pattern=r"^(/[a-z0-9_-]+)+/?$",
        description="Mount of the Parse API; /1 is an alias.",
    )
    parse_error_texts: Literal["long", "short"] = Field(
        "long",
        description="Texts of the Parse API's refusals (code 119, master key required): long, with "
        "the reason; short, `Permission denied` for all, as Parse Server 9 has it.",
    )
    parse_batch_limit: int = Field(
        1_000, ge=1, le=100_000, description="Requests in one `/batch` of the Parse API."
    )
    allow_reset: bool = Field(
        default=False,
        description="Whether POST /_reset of the Parse API empties an app, for its master key. "
        "For test suites only.",
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Worker processes of `worker` and `up`; beside several, one more for what is "
        "urgent.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Form of the log: for people at a terminal, else JSON lines."
    )
    body_limit_bytes: int = Field(
        20_000_000, ge=1_000, description="Largest request body the API reads."
    )
    push_data_required: bool = Field(
        default=True,
        description="Refuse a push without `data` (115), as Parse's guide has it; off, it is sent "
        "empty, as by Parse Server.",
    )
    push_history_days: int = Field(
        30, ge=1, le=3_650, description="Lists of pushes go so far back."
    )
    object_bytes_limit: int = Field(
        131_072,
        ge=1_024,
        le=1_048_576,
        description="Largest installation, or object of a class, as JSON (Parse's guide: 128 KB).",
    )
    batch_size: int = Field(2_000, ge=1, le=10_000, description="Devices in one batch.")
    explicit_devices_limit: int = Field(
        10_000, ge=1, le=100_000, description="Devices that one /v1 push may name."
    )
    query_result_limit: int = Field(
        1_000, ge=1, le=100_000, description="Most objects that one find of the Parse API returns."
    )
    query_skip_limit: int = Field(
        10_000, ge=0, description="Most objects that a find may skip; more is code 118."
    )
    query_depth_limit: int = Field(
        20, ge=1, le=50, description="How deep `$and`, `$or` and `$nor` may nest in a query."
    )
    query_subquery_depth_limit: int = Field(
        4, ge=0, le=8, description="How deep queries may nest within queries (`$inQuery`)."
    )
    query_values_limit: int = Field(
        10_000,
        ge=1,
        le=100_000,
        description="Keys, operators and items of lists in one query, and channels of one push.",
    )
    query_conditions_limit: int = Field(
        1_000,
        ge=10,
        le=5_000,
        description="What the conditions of one query may weigh together. An equality weighs 1 and "
        "most others 5, a place 20; docs/api.md has them all.",
    )
    query_all_limit: int = Field(
        9, ge=1, le=1_000, description="Values of one `$all` (containsAll of the SDKs)."
    )
    query_patterns_limit: int = Field(32, ge=0, le=32, description="`$regex` in one query.")
    query_pattern_characters_limit: int = Field(
        1_000, ge=1, le=10_000, description="Characters of one `$regex` or `$text`."
    )
    query_places_limit: int = Field(
        16, ge=0, le=100, description="Shapes that one query may ask of places."
    )
    query_near_miles: float = Field(
        100,
        ge=0,
        description="How far `$nearSphere` reaches when no distance is given; 0 for everywhere.",
    )
    urgent_audience_limit: int = Field(
        100, ge=0, description="A push that names at most so many devices takes the urgent lane."
    )
    lanes: Literal["both", "urgent", "bulk"] = Field(
        "both",
        description="What a worker process works on. Several processes of one worker have the bulk "
        "lane, and one more beside them the urgent lane.",
    )
    urgent_jobs: int = Field(16, ge=1, description="Jobs of the urgent lane at once, per process.")
    bulk_jobs: int = Field(8, ge=1, description="Jobs of the bulk lane at once, per process.")
    park_after_seconds: float = Field(
        2,
        gt=0,
        le=60,
        description="A job that runs longer, for its gateway is slow, leaves its place in the lane "
        "to others and goes on beside it.",
    )
    parked_jobs: int = Field(
        64,
        ge=0,
        le=10_000,
        description="Jobs beside the lanes at once, per process; while there are so many, others "
        "keep their places.",
    )
    lease_seconds: float = Field(
        30, ge=1, description="A batch not finished or renewed for so long goes to another worker."
    )
    clock_seconds: float = Field(
        0.25, gt=0, le=60, description="Delay between two looks for due and forgotten work."
    )
    shutdown_seconds: float = Field(
        8, ge=0, description="How long a stopping process lets running work finish."
    )
    plan_timeout_seconds: float = Field(
        3_600,
        ge=1,
        le=86_400,
        description="How long finding the audience of a push may take in the database; a push that "
        "takes longer fails.",
    )
    push_time_window_days: int = Field(
        14,
        ge=1,
        le=365,
        description="A push may be asked for at most so long before its time (Parse's guide: two "
        "weeks).",
    )
    late_after_seconds: float = Field(
        600,
        ge=1,
        le=86_400,
        description="What comes so long after its time is late: a push, or a wave of one in local "
        "time, that says `late: skip` is not sent then.",
    )
    zoneless_devices: Literal["skip", "utc", "app"] = Field(
        "skip",
        description="Devices without a time zone, in a push in local time or one with quiet hours: "
        "left out (Parse's rule), as if in UTC, or in the app's own `time_zone` (UTC without one).",
    )
    open_pushes_limit: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Pushes of one app that are due and not done; more are refused for now (429).",
    )
    scheduled_pushes_limit: int = Field(
        100_000,
        ge=1,
        le=1_000_000,
        description="Pushes of one app that wait for their time; more are refused for now (429).",
    )
    open_batches_limit: int = Field(
        100_000,
        ge=1,
        le=1_000_000,
        description="With so many batches of one app that are not done, its next push on the bulk "
        "lane waits before its audience becomes more of them.",
    )
    retention_days: int = Field(
        30,
        ge=1,
        le=365,
        description="Pushes, what came of each device, and opens are kept for so many days; they "
        "go a day at a time, when every push of that day is done for as long.",
    )
    attempt_limit: int = Field(
        5,
        ge=1,
        le=20,
        description="Attempts for one device, the first included, where it is throttled or a "
        "gateway does not answer.",
    )
    retry_seconds: float = Field(
        3_600,
        ge=1,
        le=86_400,
        description="How long one device is tried, from its first attempt on; outages that last "
        "longer fail it.",
    )
    credential_hold_seconds: float = Field(
        900,
        ge=0,
        le=86_400,
        description="How long devices wait for a credential to be replaced that a gateway refuses, "
        "from the first attempt on. 0: they fail at once.",
    )
    quarantine_days: int = Field(
        7, ge=1, le=365, description="A token that is only suspected is not sent to for so long."
    )
    retire_share_limit: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Where more than this share of a push's tokens look dead to one gateway, and "
        "at least 50 do, none of them is retired.",
    )
    token_history_days: int = Field(
        180, ge=1, le=3_650, description="What happened to tokens is known for so long."
    )
    database_connections: int = Field(
        10, ge=3, description="Most database connections of one process."
    )
    find_timeout_seconds: float = Field(
        10,
        gt=0,
        le=600,
        description="How long a find may take in the database, or the count of a preview in all.",
    )
    gateway_connections: int = Field(
        2, ge=1, le=100, description="Most connections to one gateway, per credential and process."
    )
    gateway_timeout_seconds: float = Field(
        20,
        gt=0,
        description="How long a written message waits for its answer before it is unknown.",
    )
    apns_rate_per_minute: int | None = Field(
        None,
        ge=1,
        description="Most messages a minute with one APNs credential. Unset: as many as Apple "
        "takes.",
    )
    fcm_rate_per_minute: int | None = Field(
        600_000,
        ge=1,
        description="The same for one Firebase project, whose quota this is unless Google has "
        "raised it.",
    )
    fcm_ramp_seconds: float = Field(
        60,
        ge=0,
        le=3_600,
        description="After five minutes of silence, FCM's rate climbs from a tenth to all of it "
        "over so long; what fits into one second goes at once.",
    )
    wns_rate_per_minute: int | None = Field(
        None, ge=1, description="Most messages a minute with one WNS credential. Unset: no limit."
    )
    gateway_ca_file: Path | None = Field(
        None, description="CA certificates that sign the gateways; for simulators and proxies."
    )
    gateway_proxy_url: SecretStr | None = Field(
        None,
        description="HTTP proxy for everything sent to gateways and their token endpoints, as "
        "http://user:password@host:3128. Unset: none, whatever HTTPS_PROXY says.",
    )
    transport: Literal["wire", "aioapns", "pyfcm"] = Field(
        "wire",
        description="What sends: wire, our own for every gateway; aioapns, stock aioapns to APNs; "
        "pyfcm, stock pyfcm to FCM. The gateways not named stay on the wire.",
    )
    apns_url: str = Field("https://api.push.apple.com", description="APNs, production.")
    apns_sandbox_url: str = Field(
        "https://api.sandbox.push.apple.com", description="APNs, development."
    )
    fcm_url: str = Field("https://fcm.googleapis.com", description="FCM HTTP v1.")
    wns_token_url: str = Field(
        "https://login.live.com/accesstoken.srf", description="WNS access tokens, package SIDs."
    )
    wns_entra_url: str = Field(
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        description="WNS access tokens, Microsoft Entra applications.",
    )
    wns_connect_to: str | None = Field(
        None,
        pattern=r"^[^:/]+:\d+$",
        description="host:port to connect to in place of every channel URI's host; for simulators.",
    )

    @field_validator("parse_mount")
    @classmethod
    def _mount_is_free(cls, value: str) -> str:
        first = value.split("/")[1]
        if first in TAKEN_PATHS:
            message = f"must not be under /{first}, which is another door"
            raise ValueError(message)
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _database_is_postgres(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(
            ("postgresql://", "postgres://", "postgresql+asyncpg://")
        ):
            message = "must start with postgresql://"
            raise ValueError(message)
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_is_redis(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "unix://")):
            message = "must start with redis://, rediss:// or unix://"
            raise ValueError(message)
        return value

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - pydantic's signature
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over file."""
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, read_file(cls.model_fields)),
        )
