"""What an object's ACL lets those do who have no master key."""

from typing import Any, Literal

from sqlalchemy import ColumnElement, or_

from pushsvc.model import Json

Right = Literal["read", "write"]
#: Everybody; users and roles would need sessions, which are Parse Server's.
PUBLIC = "*"


def may(fields: Json, right: Right) -> bool:
    """Tell whether the object's ACL lets everybody `read` or `write` it."""
    acl = fields.get("ACL")
    return acl is None or acl.get(PUBLIC, {}).get(right) is True


def lets(fields: ColumnElement[Any], right: Right) -> ColumnElement[bool]:
    """Return the same of a jsonb column with an object's fields."""
    acl = fields["ACL"]
    return or_(acl.is_(None), acl.contains({PUBLIC: {right: True}}))
