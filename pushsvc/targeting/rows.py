"""The rows of a class in a statement: which they are, and how a query asks their fields."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import FromClause, Select, and_, case, column, func, null, or_, select, true

from pushsvc.storage.acl import protected
from pushsvc.storage.schema import Schema
from pushsvc.storage.tables import installations, objects
from pushsvc.targeting import jsonb
from pushsvc.targeting.asked import INSTALLATION
from pushsvc.targeting.columns import (
    BadgeField,
    ColumnField,
    MomentField,
    RelationField,
    TextField,
    TextsField,
)
from pushsvc.targeting.custom import CustomField, InstallationField, JsonField
from pushsvc.targeting.earth import Place
from pushsvc.targeting.fields import NOTHING, Field, Found, Related, as_jsonb
from pushsvc.targeting.jsonb import JSON, Clause, Value

_POINTER: Final = "Pointer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """For whom a query runs."""

    app_id: int
    schema: Schema
    #: the master key sees what an ACL hides from the public
    is_master: bool = True


def _text(name: str) -> Callable[[FromClause], Field]:
    return lambda table: TextField(table.c[name])


def _object_id(table: FromClause) -> Field:
    # Pages by objectId (`each` of the SDKs) go in the order of its index.
    return TextField(table.c.object_id, collation=None)


#: The fields that every class has.
_OWN: Final[Mapping[str, Callable[[FromClause], Field]]] = {
    "objectId": _object_id,
    "createdAt": lambda table: MomentField(table.c.created_at),
    "updatedAt": lambda table: MomentField(table.c.updated_at),
}
_OF_INSTALLATIONS: Final[Mapping[str, Callable[[FromClause], Field]]] = {
    **_OWN,
    "installationId": _text("installation_id"),
    "deviceToken": _text("device_token"),
    "deviceType": _text("device_type"),
    "pushType": _text("push_type"),
    "GCMSenderId": _text("gcm_sender_id"),
    "timeZone": _text("time_zone"),
    "localeIdentifier": _text("locale_identifier"),
    "appVersion": _text("app_version"),
    "appName": _text("app_name"),
    "appIdentifier": _text("app_identifier"),
    "parseVersion": _text("parse_version"),
    "channels": lambda table: TextsField(table.c.channels),
    "channelUris": lambda table: ColumnField(table.c.channel_uris),
    "badge": lambda table: BadgeField(table.c.id),
}
#: Those that hold something a dotted key can lead to.
_WITHIN: Final[Mapping[str, Callable[[FromClause], Value]]] = {
    "channels": lambda table: as_jsonb(table.c.channels),
    "channelUris": lambda table: table.c.channel_uris,
}
#: Of the ACL's grants, that which lets everybody read.
_PUBLIC: Final = {"ACL": {"*": {"read": True}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of one class, by one name of its table in a statement."""

    reader: Reader
    class_name: str
    table: FromClause
    #: the column with the custom fields
    custom: str

    def are(self, wanted: Clause) -> Clause:
        """Return what picks those of the class that the reader may see, and that are wanted."""
        columns = self.table.c
        clauses = [columns.app_id == self.reader.app_id]
        if self.class_name != INSTALLATION:
            clauses.append(columns.class_name == self.class_name)
        if not self.reader.is_master:
            clauses.append(is_public(columns[self.custom]))
        return and_(*clauses, wanted)

    def field(self, key: str) -> Field:
        """Return how the key, dotted or not, is asked of a row."""
        name, *rest = key.split(".")
        if name in self._special:
            if not rest:
                return self._special[name](self.table)
            within = _WITHIN[name](self.table) if name in _WITHIN else NOTHING
            return JsonField(within, tuple(rest))
        if name in protected(self.class_name, is_master=self.reader.is_master):
            # As if nobody had one: what is not shown cannot be guessed at by queries, either.
            return JsonField(NOTHING, ())
        related = None if rest else self.relation(name)
        if related is not None:
            return RelationField(related, self.table.c.object_id)
        kind = self.reader.schema.of(self.class_name).get(name)
        points_at = kind.target_class if kind and kind.name == _POINTER and not rest else None
        custom = InstallationField if self.class_name == INSTALLATION else CustomField
        return custom(self.table, self.custom, (name, *rest), points_at=points_at)

    def place(self, key: str) -> Place | None:
        """Return where the key says that a row is, if it is the class's field of places."""
        if key != self.reader.schema.place_of(self.class_name):
            return None
        return Place(self.table.c.latitude, self.table.c.longitude)

    def relation(self, name: str) -> Related | None:
        """Return the relation that the field is; None where it is none."""
        leads_to = self.reader.schema.relation(self.class_name, name)
        if leads_to is None:
            return None
        return Related(
            app_id=self.reader.app_id,
            owner_class=self.class_name,
            field=name,
            class_name=leads_to,
        )

    def others(self, class_name: str) -> "Rows":
        """Return rows of a class for the same reader, for a query within the query."""
        if class_name == INSTALLATION:
            return installation_rows(self.reader, installations.alias())
        return object_rows(self.reader, class_name)

    def found(self, wanted: Clause) -> Found:
        """Return those that are wanted, to be pointed to."""
        return Found(
            app_id=self.reader.app_id,
            class_name=self.class_name,
            object_id=self.table.c.object_id,
            wanted=self.are(wanted),
        )

    def values(self, key: str, wanted: Clause) -> Select[Any]:
        """Return what those that are wanted have by a key; of a list each item, nothing of null."""
        value = self.field(key).value()
        a_list = case(
            (jsonb.is_type(value, "array"), value),
            else_=func.jsonb_build_array(value, type_=JSON),
        )
        items = func.jsonb_array_elements(a_list).table_valued(column("value", JSON))
        item = items.c.value
        found = select(item).select_from(self.table.join(items, true()))
        # DISTINCT, since Postgres takes each list for a hundred items: so many it would not hash.
        return found.where(self.are(wanted), ~jsonb.is_null_value(item)).distinct()

    @property
    def _special(self) -> Mapping[str, Callable[[FromClause], Field]]:
        return _OF_INSTALLATIONS if self.class_name == INSTALLATION else _OWN


def installation_rows(reader: Reader, table: FromClause = installations) -> Rows:
    """Return the installations, by the name that the table has in the statement."""
    return Rows(reader=reader, class_name=INSTALLATION, table=table, custom="custom")


def object_rows(reader: Reader, class_name: str) -> Rows:
    """Return the objects of a class, by a name of their own."""
    return Rows(reader=reader, class_name=class_name, table=objects.alias(), custom="fields")


def is_public(custom: Value) -> Clause:
    """Tell whether everybody may read the row whose custom fields these are."""
    return or_(custom["ACL"].is_(null()), custom.contains(_PUBLIC))
