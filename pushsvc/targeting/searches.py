"""Parse's search for words, `$text`, as MongoDB reads the words. Pure.

A phrase stands in quotes, a dash before a word or phrase excludes it; without a phrase, one of the
words is enough (MongoDB manual, $text).
"""

import re
from typing import Any, Final

from pushsvc.targeting.asked import Asked
from pushsvc.targeting.conditions import NOBODY, Condition, Searched
from pushsvc.targeting.values import is_scalar

#: MongoDB's languages, by name and by ISO 639-1, which Postgres knows, too.
_LANGUAGES: Final = {
    code: name
    for name, short in {
        "danish": "da",
        "dutch": "nl",
        "english": "en",
        "finnish": "fi",
        "french": "fr",
        "german": "de",
        "hungarian": "hu",
        "italian": "it",
        "norwegian": "nb",
        "portuguese": "pt",
        "romanian": "ro",
        "russian": "ru",
        "spanish": "es",
        "swedish": "sv",
        "turkish": "tr",
    }.items()
    for code in (name, short)
} | {"none": "simple"}

_STEP: Final = re.compile(r'(?P<dash>-?)(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))')


def searched(asked: Asked) -> Condition:
    """Return the condition of a `$text`.

    Raises WhereError 107: it is no search, or wants what cannot be had.
    """
    search = asked.operand.get("$search") if isinstance(asked.operand, dict) else None
    if not isinstance(search, dict):
        raise asked.refused("bad $text: $search, should be object")
    term = search.get("$term")
    if not isinstance(term, str) or not is_scalar(term):
        raise asked.refused("bad $text: $term, should be string")
    if len(term) > asked.limits.pattern_characters:
        most = asked.limits.pattern_characters
        raise asked.refused(f"bad $text: $term has at most {most} characters")
    language = _language(asked, search.get("$language", "english"))
    _check_sensitivity(asked, search)
    steps = [
        (bool(step["dash"]), step["phrase"] is not None, step["phrase"] or step["word"])
        for step in _STEP.finditer(term)
        if step["phrase"] or step["word"]
    ]
    if len(steps) > asked.limits.words:
        raise asked.refused(f"bad $text: $term has at most {asked.limits.words} words")
    if all(dash for dash, *_ in steps):
        # MongoDB's rule: what is only excluded is not looked for.
        return NOBODY
    return Searched(
        asked.key,
        language,
        words=tuple(text for dash, phrase, text in steps if not dash and not phrase),
        phrases=tuple(text for dash, phrase, text in steps if not dash and phrase),
        unwanted=tuple(text for dash, _, text in steps if dash),
    )


def _language(asked: Asked, language: Any) -> str:
    if not isinstance(language, str):
        raise asked.refused("bad $text: $language, should be string")
    if language not in _LANGUAGES:
        known = ", ".join(sorted(_LANGUAGES))
        raise asked.refused(f"bad $text: $language should be one of {known}")
    return _LANGUAGES[language]


def _check_sensitivity(asked: Asked, search: dict[str, Any]) -> None:
    for name, supported in (("$caseSensitive", False), ("$diacriticSensitive", True)):
        value = search.get(name, supported)
        if not isinstance(value, bool):
            raise asked.refused(f"bad $text: {name}, should be boolean")
        if value is not supported:
            # As Parse Server says it on Postgres.
            raise asked.refused(f"bad $text: {name} {str(value).lower()} not supported")
