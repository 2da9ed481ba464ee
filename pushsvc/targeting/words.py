"""SQL of the search for words: MongoDB's `$text` by Postgres's text search."""

from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal_column, true
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY

from pushsvc.targeting import jsonb
from pushsvc.targeting.conditions import Searched
from pushsvc.targeting.jsonb import Clause, Test, Value


def has_words(searched: Searched) -> Test:
    """Return the test of being a text in which the search finds its words."""
    query = _query(searched)
    # Of words that a language does not count ("the") nothing is left, and of such a search only
    # what it excludes would be: everybody else. MongoDB's rule is nobody.
    asks = func.numnode(_wanted(searched)) > 0 if searched.unwanted else true()

    def is_found(value: Value) -> Clause:
        is_text = jsonb.is_type(value, "string")
        return and_(is_text, asks, _vector(searched, value).bool_op("@@")(query))

    return is_found


def rank(searched: Searched, value: Value) -> Value:
    """Return what grows with how well a text fits the search: Parse's `$score`."""
    is_text = jsonb.is_type(value, "string")
    return case((is_text, func.ts_rank(_vector(searched, value), _query(searched))))


def _vector(searched: Searched, value: Value) -> Value:
    return func.to_tsvector(_language(searched), jsonb.text_of(value))


def _language(searched: Searched) -> ColumnElement[Any]:
    return literal_column(f"'{searched.language}'", REGCONFIG())


def _query(searched: Searched) -> ColumnElement[Any]:
    language = _language(searched)
    unwanted = [func.phraseto_tsquery(language, text) for text in searched.unwanted]
    wanted = _wanted(searched)
    if not unwanted:
        return wanted
    return wanted.op("&&", return_type=TSQUERY())(func.tsquery_not(_joined(unwanted, "||")))


def _wanted(searched: Searched) -> ColumnElement[Any]:
    language = _language(searched)
    if searched.phrases:
        phrases = [func.phraseto_tsquery(language, phrase) for phrase in searched.phrases]
        return _joined(phrases, "&&")
    return _joined([func.plainto_tsquery(language, word) for word in searched.words], "||")


def _joined(queries: list[Any], operator: str) -> ColumnElement[Any]:
    def join(one: Any, other: Any) -> Any:
        return one.op(operator, return_type=TSQUERY())(other)

    return reduce(join, queries)
