"""Who is calling: the only place that compares secrets."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.clock import Clock
from pushsvc.errors import ForbiddenError, MasterKeyRequiredError, UnauthorizedError
from pushsvc.model import App
from pushsvc.remembered import Remembered
from pushsvc.storage import apps
from pushsvc.storage.apps import Key, KeyKind, Scope, hash_key

#: A revoked key works no longer than this.
REMEMBERED_SECONDS: Final = 5.0

#: Any one of these lets a client in, if the app has any of them.
CLIENT_KINDS: Final = (KeyKind.CLIENT, KeyKind.JAVASCRIPT, KeyKind.WINDOWS, KeyKind.REST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a Parse request says of its caller, wherever it says it."""

    application_id: str = ""
    keys: Mapping[KeyKind, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An app's client, or its master."""

    app: App
    is_master: bool
    #: the kinds of keys that fitted; none where the app has no client keys, and wants none
    kinds: frozenset[KeyKind] = frozenset()

    def require_master(self) -> None:
        """Raise MasterKeyRequiredError unless the master key was given."""
        if not self.is_master:
            raise MasterKeyRequiredError("unauthorized: master key is required")


class Doorkeeper:
    """Knows the apps and their keys.

    Who is let in may be remembered for five seconds; who is refused was looked up just now, so a
    new key works at once.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._apps: Remembered[tuple[App, Sequence[Key]]] = Remembered(
            clock, seconds=REMEMBERED_SECONDS
        )
        self._api_keys: Remembered[tuple[App, Key]] = Remembered(clock, seconds=REMEMBERED_SECONDS)

    async def knows(self, application_id: str) -> bool:
        """Tell whether there is such an app."""
        return await self._app(application_id) is not None

    async def parse_caller(self, credentials: Credentials) -> Caller:
        """Return who a Parse request comes from.

        Raises:
            UnauthorizedError: there is no such app, or none of the keys is the app's.
        """
        application_id = credentials.application_id
        remembered = self._apps.get(application_id) is not None
        caller = _admitted(await self._app(application_id), credentials.keys)
        if caller is None and remembered:
            self._apps.drop(application_id)
            caller = _admitted(await self._app(application_id), credentials.keys)
        if caller is None:
            raise UnauthorizedError("unauthorized")
        return caller

    async def api_caller(self, authorization: str | None, *scopes: Scope) -> App:
        """Return whose app the bearer of an api key may act for.

        Raises:
            UnauthorizedError: no key, or one that nobody has.
            ForbiddenError: the key lacks one of the scopes.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise UnauthorizedError("Send an api key: `Authorization: Bearer psk_...`.")
        found = await self._api_key(key.strip(), scopes)
        if found is None:
            raise UnauthorizedError("There is no such api key; it may have been revoked.")
        app, stored = found
        if lacking := _lacking(stored, scopes):
            raise ForbiddenError(f"The api key lacks the scope `{lacking[0]}`.")
        return app

    async def _app(self, application_id: str) -> tuple[App, Sequence[Key]] | None:
        if not application_id:
            return None

        async def load() -> tuple[App, Sequence[Key]] | None:
            async with self._engine.connect() as connection:
                return await apps.app_with_keys(connection, application_id)

        return await self._apps.get_or(application_id, load)

    async def _api_key(self, key: str, scopes: Sequence[Scope]) -> tuple[App, Key] | None:
        digest = hash_key(key)
        known = self._api_keys.get(digest)
        if known is not None:
            if not _lacking(known[1], scopes):
                return known
            self._api_keys.drop(digest)

        async def load() -> tuple[App, Key] | None:
            async with self._engine.connect() as connection:
                found = await apps.app_of_key(connection, key)
            fits = found is not None and hmac.compare_digest(found[1].key_hash, digest)
            return found if fits else None

        return await self._api_keys.get_or(digest, load)


def _admitted(
    found: tuple[App, Sequence[Key]] | None, given: Mapping[KeyKind, str]
) -> Caller | None:
    """Apply Parse's rule: the master may all; a client needs one key, if the app has any."""
    if found is None:
        return None
    app, keys = found
    # A list, not a generator: every key is compared, whichever fits.
    fitting = [kind for kind, key in given.items() if _fits(keys, kind, key)]
    if KeyKind.MASTER in fitting:
        return Caller(app=app, is_master=True, kinds=frozenset(fitting))
    locked = any(key.kind in CLIENT_KINDS for key in keys)
    if locked and not any(kind in CLIENT_KINDS for kind in fitting):
        return None
    return Caller(app=app, is_master=False, kinds=frozenset(fitting))


def _fits(keys: Sequence[Key], kind: KeyKind, given: str) -> bool:
    digest = hash_key(given)
    compared = [hmac.compare_digest(key.key_hash, digest) for key in keys if key.kind is kind]
    return any(compared)


def _lacking(key: Key, scopes: Sequence[Scope]) -> list[Scope]:
    has_all = Scope.ADMIN in key.scopes
    return [scope for scope in scopes if not has_all and scope not in key.scopes]
