"""SQL of the search for words: MongoDB's `$text` by Postgres's text search."""

from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal_column
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY

from pushsvc.targeting import jsonb
from pushsvc.targeting.conditions import Searched
from pushsvc.targeting.jsonb import Clause, Test, Value


def has_words(searched: Searched) -> Test:
    """Return the test of being a text in which the search finds its words."""
    language = literal_column(f"'{searched.language}'", REGCONFIG())
    phrases = [func.phraseto_tsquery(language, phrase) for phrase in searched.phrases]
    words = [func.plainto_tsquery(language, word) for word in searched.words]
    unwanted = [func.phraseto_tsquery(language, text) for text in searched.unwanted]
    wanted = _joined(phrases, "&&") if phrases else _joined(words, "||")
    query = wanted if not unwanted else wanted.op("&&")(func.tsquery_not(_joined(unwanted, "||")))

    def is_found(value: Value) -> Clause:
        text: Value = func.to_tsvector(language, jsonb.text_of(value))
        return and_(jsonb.is_type(value, "string"), text.bool_op("@@")(query))

    return is_found


def _joined(queries: list[Any], operator: str) -> ColumnElement[Any]:
    def join(one: Any, other: Any) -> Any:
        return one.op(operator, return_type=TSQUERY())(other)

    return reduce(join, queries)
