"""What those may see and do who have no master key. Pure."""

from collections.abc import Mapping
from typing import Final, Literal

from pushsvc.model import Json

#: Everybody; users and roles would need sessions, which are Parse Server's.
PUBLIC: Final = "*"


def may(fields: Json, right: Literal["read", "write"]) -> bool:
    """Tell whether the object's ACL lets everybody read or write it."""
    acl = fields.get("ACL")
    return acl is None or acl.get(PUBLIC, {}).get(right) is True


#: class -> fields that only the master key may see and ask for; Parse Server's `protectedFields`.
_PROTECTED: Final[Mapping[str, frozenset[str]]] = {"_User": frozenset({"email"})}


def protected(class_name: str, *, is_master: bool) -> frozenset[str]:
    """Return the fields of a class that the caller does not get to know."""
    return frozenset() if is_master else _PROTECTED.get(class_name, frozenset())
