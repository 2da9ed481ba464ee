"""What a save is about, and what it comes to, given what is stored. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pushsvc.errors import NotFoundError
from pushsvc.model import Json
from pushsvc.storage import dedup, fields as rules
from pushsvc.storage.acl import may
from pushsvc.storage.encoded import refuse
from pushsvc.storage.fields import BADGE, COLUMNS, UNSET, Fields
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.installations import (
    Installation,
    Saved,
    SaveRequest,
    custom_of,
    shown,
)
from pushsvc.storage.operations import INVALID_JSON, Operation
from pushsvc.storage.places import place_of

#: (app, kind, name): what a save is told apart by. Two saves that share one take turns.
Name = tuple[int, str, str]
OBJECT_ID, INSTALLATION_ID, TOKEN = "object id", "id", "token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A save as asked for, with what it says of the device's identity."""

    app_id: int
    request: SaveRequest
    save: dedup.Save
    names: frozenset[Name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What the database gave an installation that was written."""

    id: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a save comes to."""

    wanted: Wanted
    #: None for a create
    target: Installation | None
    object_id: str
    #: installations that are deleted before it is written
    obsolete: Sequence[Installation]
    #: Parse's name -> value, all that the installation is to have
    fields: Json
    #: column -> value, of the same
    row: Json
    #: None where it stays as it is
    badge: int | None
    #: the device registers where it is reached
    registers: bool
    #: a token that others keep, too
    shared_token: str | None
    #: what the body's operations came to
    results: Json

    @property
    def name(self) -> Name:
        """The object id by which it is found from now on."""
        return (self.wanted.app_id, OBJECT_ID, self.object_id)

    def saved(self, stamp: Stamp) -> Saved:
        """Return what to answer, once it is written."""
        written = Installation(
            id=stamp.id,
            app_id=self.wanted.app_id,
            object_id=self.object_id,
            created_at=stamp.created_at,
            updated_at=stamp.updated_at,
            fields=shown(self.fields),
        )
        return Saved(installation=written, created=self.target is None, results=self.results)


def wanted(app_id: int, request: SaveRequest) -> Wanted:
    """Return what a request asks for.

    Raises:
        InvalidInstallationError: 135, a create that names no device.
        InvalidObjectError: 107, an operation on what tells devices apart.
    """
    save = _identity(request)
    dedup.check_identified(save)
    named = (
        (OBJECT_ID, save.object_id),
        (INSTALLATION_ID, save.matched_id),
        (TOKEN, save.device_token),
    )
    names = frozenset((app_id, kind, name) for kind, name in named if name)
    return Wanted(app_id=app_id, request=request, save=save, names=names)


def plan(asked: Wanted, found: Iterable[Installation]) -> Plan:
    """Return what a save comes to, given all installations that share a name with it.

    Raises:
        NotFoundError: the installation is not there, or its ACL hides it.
        InvalidInstallationError: the request contradicts itself or what is stored.
    """
    save, request = asked.save, asked.request
    known = {one.id: one for one in found}
    decision = dedup.decide(save, [_known(one) for one in known.values()])
    target = None if decision.target is None else known[decision.target]
    if target and not (request.is_master or may(target.fields, "write")):
        raise NotFoundError("Object not found.")
    before = target.fields if target else {}
    values = rules.changed(request.fields, before, request.types)
    fields = {name: value for name, value in {**before, **values}.items() if value is not UNSET}
    if BADGE in values or target is None:
        fields.setdefault(BADGE, 0)
    kept = known.keys() - {decision.target, *decision.obsolete}
    is_shared = any(known[n].fields.get("deviceToken") == save.device_token for n in kept)
    return Plan(
        wanted=asked,
        target=target,
        object_id=target.object_id if target else new_object_id(),
        obsolete=[known[n] for n in decision.obsolete],
        fields=fields,
        row=_row(fields),
        badge=fields[BADGE] if BADGE in values or target is None else None,
        registers=_registers(before, fields, values),
        shared_token=save.device_token if is_shared else None,
        results=rules.results(request.fields, values),
    )


def _identity(request: SaveRequest) -> dedup.Save:
    fields = request.fields
    header = request.header_installation_id
    return dedup.Save(
        object_id=request.object_id,
        names_object_id=request.object_id is not None
        and fields.get(rules.OBJECT_ID) == request.object_id,
        installation_id=_sent(fields, "installationId"),
        # Parse Server looks only at what the master's body says.
        header_installation_id=header.lower() if header and not request.is_master else None,
        device_token=_sent(fields, "deviceToken"),
        device_type=_sent(fields, "deviceType"),
        app_identifier=_sent(fields, "appIdentifier"),
    )


def _sent(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    if isinstance(value, Operation):
        text = f"{name} tells devices apart: send it as it is, without an operation."
        refuse(INVALID_JSON, name, text)
    return value if isinstance(value, str) else None


def _known(one: Installation) -> dedup.Known:
    return dedup.Known(
        id=one.id,
        object_id=one.object_id,
        installation_id=one.fields.get("installationId"),
        device_token=one.fields.get("deviceToken"),
        device_type=one.fields["deviceType"],
        app_identifier=one.fields.get("appIdentifier"),
    )


def _registers(before: Json, after: Json, sent: Json) -> bool:
    """Tell whether the device registers where it is reached: a token that is sent is in use."""
    changed = any(before.get(name) != after.get(name) for name in ("deviceToken", "channelUris"))
    return changed or isinstance(sent.get("deviceToken"), str)


def _row(fields: Json) -> dict[str, Any]:
    """Return the columns of these fields, which are all that the installation is to have."""
    if "deviceType" not in fields:
        refuse(136, "deviceType", "deviceType may not be changed in this operation")
    custom = custom_of(fields)
    named = {column: fields.get(name) for name, column in COLUMNS.items()}
    return {**named, "custom": custom, **place_of(custom)}
