"""Which classes there are: an app's own, and those of Parse's that we keep. Pure."""

import re
from typing import Final

from pushsvc.errors import InvalidObjectError
from pushsvc.storage.encoded import NAME_CHARACTERS, shown

USER: Final = "_User"
ROLE: Final = "_Role"
#: Parse's own classes whose objects are objects like others.
PARSES: Final = frozenset({USER, ROLE, "_Product"})

_NAME: Final = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{NAME_CHARACTERS - 1}}}")
_INVALID_CLASS_NAME: Final = 103


def has_objects(class_name: str) -> bool:
    """Tell whether a class of this name may have objects; others are none, or are not objects."""
    return class_name in PARSES or _NAME.fullmatch(class_name) is not None


def check_class(class_name: str) -> None:
    """Raise InvalidObjectError (103) unless a class of this name may have objects."""
    if not has_objects(class_name):
        message = (
            f"Invalid classname: {shown(class_name)}, classnames can only have alphanumeric "
            "characters and _, and must start with an alpha character"
        )
        raise InvalidObjectError(message, parse_code=_INVALID_CLASS_NAME)
