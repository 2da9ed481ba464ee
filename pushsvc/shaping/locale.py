"""Which language a device is spoken to in: locale tags, and what to fall back on."""

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

#: A language of two or three letters, maybe a script, maybe a region (BCP 47, RFC 5646 2.1).
#: What follows these in a device's locale (`u-ca-gregory`, `POSIX`, `@calendar=...`) says
#: nothing about texts.
_TAG: Final = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?(?![a-z0-9])")
#: RFC 5646 4.4.1: room for every tag that is not made to be long; ours end at 12 characters.
_LONGEST: Final = 35


def _normal(text: str) -> str:
    return text[:_LONGEST].lower().replace("_", "-")


def tag_of(suffix: str) -> str | None:
    """Return the tag that the end of a key such as `alert-fr_CA` names, normalised; else None.

    `alert-color` is no locale variant: "color" is no tag.
    """
    tag = _normal(suffix)
    return tag if _TAG.fullmatch(tag) else None


def locales_of(tags: Iterable[str]) -> Iterator[str]:
    """Yield locales between which tags may make a difference: with each script and region of each.

    A device of `zh-Hant-TW` may get one text by `zh-Hant` and another by `zh-TW`.
    """
    subtags: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for tag in tags:
        found = _TAG.fullmatch(tag)
        if found is not None:
            language, *others = found.groups(default="")
            for known, subtag in zip(subtags.setdefault(language, ({}, {})), others, strict=True):
                known |= {"": None, subtag: None}
    for language, (scripts, regions) in subtags.items():
        for pair in product(scripts, regions):
            yield "-".join(filter(None, (language, *pair)))


def fallbacks(locale: str | None) -> tuple[str, ...]:
    """Return the tags that fit a device's locale, the best first.

    As RFC 4647 3.4 (lookup), and without the script before without the region: an iPhone in
    Taiwan says `zh-Hant-TW`, and people write `alert-zh-TW`.
    """
    found = _TAG.match(_normal(locale)) if locale else None
    if found is None:
        return ()
    language, script, region = found.groups()
    subtags = ((script, region), (script, None), (None, region), (None, None))
    tags = ("-".join(filter(None, (language, *pair))) for pair in subtags)
    return tuple(dict.fromkeys(tags))
