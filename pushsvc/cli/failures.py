"""Errors a command ends with: a sentence, a stable code and the exit status."""

from collections.abc import Mapping
from typing import Any, Final

FAILURE: Final = 1
#: The user's mistake: bad input, a bad setting, wrong usage. Shells and argparse use 2, too.
MISTAKE: Final = 2


class CommandError(Exception):
    """A command cannot do what it was asked; the message says why and what to do."""

    def __init__(
        self, message: str, *, code: str, status: int = FAILURE, field: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        #: the option, file or setting at fault
        self.field = field

    def as_json(self) -> dict[str, Any]:
        """Return the `error` of the JSON line."""
        known = {"code": self.code, "message": str(self), "field": self.field}
        return {name: value for name, value in known.items() if value is not None}


_DATABASE: Final = (
    "The database failed: {}. Check PUSHSVC_DATABASE_URL; `pushsvc doctor` tells more."
)
_REDIS: Final = "Redis failed: {}. Check PUSHSVC_REDIS_URL; `pushsvc doctor` tells more."
_AS_IT_IS: Final = "{}"

#: Errors that tell a user something: class -> code, status, sentence. By name, so that the table
#: needs no imports: most commands meet none of them.
KNOWN: Final[Mapping[str, tuple[str, int, str]]] = {
    "pushsvc.config.file.SettingsError": ("settings", MISTAKE, _AS_IT_IS),
    "pushsvc.api.server.PortTakenError": ("port_taken", FAILURE, _AS_IT_IS),
    "pushsvc.api.server.ListenError": ("listen", FAILURE, _AS_IT_IS),
    "pushsvc.embedded.errors.EmbeddedError": ("embedded", FAILURE, _AS_IT_IS),
    "pushsvc.storage.sealing.SealingError": ("secret_key", FAILURE, _AS_IT_IS),
    "pushsvc.storage.apps.AppExistsError": ("exists", FAILURE, _AS_IT_IS),
    "pushsvc.storage.migrate.UnknownRevisionError": ("migrations", FAILURE, _AS_IT_IS),
    "pushsvc.storage.migrate.BusyError": ("busy", FAILURE, _AS_IT_IS),
    "sqlalchemy.exc.SQLAlchemyError": ("database", FAILURE, _DATABASE),
    "asyncpg.exceptions._base.PostgresError": ("database", FAILURE, _DATABASE),
    "redis.exceptions.RedisError": ("redis", FAILURE, _REDIS),
    "builtins.OSError": ("system", FAILURE, _AS_IT_IS),
}


def describe(error: BaseException) -> CommandError | None:
    """Return what to tell of an error; None for one that only a programmer can make sense of."""
    if isinstance(error, CommandError):
        return error
    for known in type(error).__mro__:
        name = f"{known.__module__}.{known.__qualname__}"
        if name == "pushsvc.errors.CallerError":
            return _of_caller(error)
        if name in KNOWN:
            code, status, sentence = KNOWN[name]
            return CommandError(sentence.format(error), code=code, status=status)
    return None


def _of_caller(error: Any) -> CommandError:
    """Take over what the API would have answered; its 4xx are the user's mistakes."""
    ours = error.status >= 500  # noqa: PLR2004 - RFC 9110 15.6: server error
    field = f"{error.field}: " if error.field else ""
    return CommandError(
        f"{field}{error.detail}",
        code=error.code,
        status=FAILURE if ours else MISTAKE,
        field=error.field,
    )
