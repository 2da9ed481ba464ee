"""Toasts, tiles and badges as XML, built by the standard library's element tree.

The elements are those of Microsoft's "App notification content schema", "Adaptive tile templates:
schema and guidance" and "Badge notifications". Characters that XML has not are left out: Windows
would drop the whole notification without a word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from xml.etree import ElementTree as ET

from pushsvc.model import Json
from pushsvc.shaping import limits

#: Sizes of a tile that have room for text; the small one shows the app's logo.
_TILES: Final = ("TileMedium", "TileWide", "TileLarge")
#: The sound of a toast that makes none.
SILENT: Final = "silent"
#: Badges kept, as many as differ to the eye and some more.
_KEPT_BADGES: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """What there is to see; each may be empty."""

    texts: Sequence[str]
    image: str
    #: what the app is told when it is opened from here
    launch: str


def legal(text: Any) -> str:
    """Return a text without the characters that XML has not; what is no text is empty."""
    return limits.NOT_XML.sub("", text) if isinstance(text, str) else ""


def texts_of(data: Json) -> list[str]:
    """Return title, subtitle and body: at most the three texts that a toast has room for."""
    alert = data.get("alert")
    parts: Mapping[str, Any] = alert if isinstance(alert, dict) else {"body": alert}
    lines = (data.get("title") or parts.get("title"), parts.get("subtitle"), parts.get("body"))
    return [text for text in map(legal, lines) if text]


def toast(visible: Visible, *, audio: str) -> bytes:
    """Return a toast; its image stands below the texts."""
    root = ET.Element("toast", _given(launch=visible.launch))
    visual = ET.SubElement(root, "visual")
    binding = ET.SubElement(visual, "binding", template="ToastGeneric")
    for text in visible.texts:
        ET.SubElement(binding, "text").text = text
    if visible.image:
        ET.SubElement(binding, "image", src=visible.image)
    if audio == SILENT:
        ET.SubElement(root, "audio", silent="true")
    elif audio:
        ET.SubElement(root, "audio", src=audio)
    return _written(root)


def tile(visible: Visible) -> bytes:
    """Return a tile in each size; its image and its texts take turns, for want of room."""
    root = ET.Element("tile")
    visual = ET.SubElement(root, "visual", _given(arguments=visible.launch))
    for template in _TILES:
        binding = ET.SubElement(visual, "binding", template=template)
        if visible.image:
            ET.SubElement(binding, "image", src=visible.image, placement="peek")
        for text in visible.texts:
            ET.SubElement(binding, "text", {"hint-wrap": "true"}).text = text
    return _written(root)


@lru_cache(_KEPT_BADGES)
def badge(value: int | str) -> bytes:
    """Return a badge: a glyph or a number; 0 takes it away, and below that Windows knows none."""
    shown = value if isinstance(value, str) else str(max(0, value))
    return _written(ET.Element("badge", value=shown))


def _given(**attributes: str) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if value}


def _written(root: ET.Element) -> bytes:
    return ET.tostring(root, encoding="unicode").encode()
