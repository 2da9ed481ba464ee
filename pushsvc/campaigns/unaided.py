"""What of a campaign can be checked without a server: contents in full, and queries. Pure."""

from collections.abc import Iterator

from pushsvc.campaigns import composing
from pushsvc.campaigns.definition import Definition
from pushsvc.errors import Fault, InvalidPushError
from pushsvc.model import Json
from pushsvc.targeting.values import WhereError
from pushsvc.targeting.where import parse_where


def faults_of(definition: Definition) -> list[Fault]:
    """Return what a server would refuse, whatever it has stored."""
    return [*_faults_of_contents(definition), *_faults_of_queries(definition)]


def _faults_of_contents(definition: Definition) -> Iterator[Fault]:
    for at, content in composing.contents(definition):
        # What a template lacks or has, only a server knows.
        if "template" in content:
            continue
        try:
            composing.check({"data": {}, **content}, at=at)
        except InvalidPushError as error:
            yield Fault(error.field or at, error.code, error.detail)


def _faults_of_queries(definition: Definition) -> Iterator[Fault]:
    for at, where in _queries(definition):
        try:
            parse_where(where)
        except WhereError as error:
            yield Fault(f"{at}{error.field}", "invalid_query", error.message)


def _queries(definition: Definition) -> Iterator[tuple[str, Json]]:
    audience = definition.audience
    for at, group in (("/audience", audience), ("/audience/exclude", audience.exclude)):
        if group is not None and group.where is not None:
            yield at, group.where
