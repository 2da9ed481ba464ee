"""Where the Parse API is mounted, and what lies under it."""

from collections.abc import Iterable

from pushsvc.config import Settings

#: The mount of the hosted Parse API, which old clients have built in.
PARSE_ALIAS = "/1"


def parse_mounts(settings: Settings) -> tuple[str, ...]:
    """Return the mounts of the Parse API, each once, without a slash at the end."""
    return tuple(dict.fromkeys((settings.parse_mount, PARSE_ALIAS)))


def below(path: str, mounts: Iterable[str]) -> str | None:
    """Return what of the path is below the longest mount that it is under, without slashes."""
    under = [mount for mount in mounts if path.startswith(f"{mount}/")]
    return path[len(max(under, key=len)) :].strip("/") if under else None


def is_under(path: str, mounts: Iterable[str]) -> bool:
    """Tell whether the path is one of the mounts, or under it."""
    return any(path == mount or path.startswith(f"{mount}/") for mount in mounts)
