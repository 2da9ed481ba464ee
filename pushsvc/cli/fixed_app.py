"""The app that `up --app-id` keeps: an application id and keys that are known beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass

from pushsvc.cli import session
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import refuse_unsendable
from pushsvc.config import Settings
from pushsvc.storage import apps
from pushsvc.storage.apps import KeyKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedApp:
    """What was asked for."""

    application_id: str
    keys: Mapping[KeyKind, str]


def asked_for(application_id: str | None, given: Mapping[KeyKind, str | None]) -> FixedApp | None:
    """Return the app that the options ask for; None where they ask for none.

    Raises:
        CommandError: keys without an app or an app without a master key, or what cannot be sent.
    """
    keys = {kind: key for kind, key in given.items() if key is not None}
    if application_id is None:
        if keys:
            option = f"--{next(iter(keys))}-key"
            message = f"{option}: needs --app-id, the app whose key it is."
            raise CommandError(message, code="usage", status=MISTAKE, field=option)
        return None
    refuse_unsendable("--app-id", application_id)
    for kind, key in keys.items():
        refuse_unsendable(f"--{kind}-key", key)
    if KeyKind.MASTER not in keys:
        message = (
            "--app-id: needs --master-key; the app will have the keys given here, and no other."
        )
        raise CommandError(message, code="usage", status=MISTAKE, field="--app-id")
    return FixedApp(application_id=application_id, keys=keys)


async def ensure(found: Settings, fixed: FixedApp) -> None:
    """Make the app unless it is there, and see to it that its Parse keys are exactly these."""
    async with session.reached(found) as engine, engine.begin() as connection:
        app = await apps.ensure_app(connection, fixed.application_id)
        await apps.hold_keys(connection, app, fixed.keys)
