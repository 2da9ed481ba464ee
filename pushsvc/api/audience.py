"""Audiences as both doors take them: channels and their names."""

import hashlib
from typing import Any, Final

import orjson

from pushsvc.errors import InvalidPushError
from pushsvc.storage.fields import channel_flaw

INVALID_CHANNEL_NAME: Final = 112
INVALID_CHANNELS_ARRAY: Final = 134


def check_channels(channels: Any) -> None:
    """Raise InvalidPushError unless these are names of channels in an array."""
    if not isinstance(channels, list) or not all(isinstance(name, str) for name in channels):
        message = "channels must be an array of strings."
        raise InvalidPushError(message, field="/channels", parse_code=INVALID_CHANNELS_ARRAY)
    for place, name in enumerate(channels):
        if flaw := channel_flaw(name):
            raise InvalidPushError(
                flaw, field=f"/channels/{place}", parse_code=INVALID_CHANNEL_NAME
            )


def fingerprint(body: Any) -> bytes:
    """Return what tells one request body from another, whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()
