"""docs/api.md tells of every endpoint, with an example."""

import re
from pathlib import Path

from pushsvc.api.health import ROUTES as HEALTH
from pushsvc.api.parse.refusals import NOT_OURS
from pushsvc.api.parse.routes import (
    CLASS,
    OBJECT,
    ROUTES,
    ROUTES_OF_NAME,
    ROUTES_OF_ONE,
    ROUTES_OF_TESTS,
)
from pushsvc.api.v1 import (
    campaigns,
    previews,
    pushes,
    reports,
    reviews,
    steps,
    templates,
    token_history,
    waves,
)
from pushsvc.stats.story import Why

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
HEADINGS = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)


def sections() -> dict[str, str]:
    parts = re.split(r"^### (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


#: What is told in one section for all, as the same as something else.
ALIASES = {
    "/parse/installations": "/parse/installations",
    "/parse/users": "/parse/users, /parse/roles",
    "/parse/roles": "/parse/users, /parse/roles",
    "/parse/classes/_Audience": "/parse/classes/_Audience",
}


def test_every_parse_endpoint_is_told() -> None:
    """By method and path; what is the same as another path in one section for all."""
    table = {
        f"{method} /parse/{path}{below}"
        for routes, below in (
            ({**ROUTES, **ROUTES_OF_TESTS}, ""),
            (ROUTES_OF_ONE, "/{objectId}"),
            (ROUTES_OF_NAME, "/{name}"),
        )
        for path, methods in routes.items()
        for method in methods
    }
    table |= {f"{method} /parse/classes/{{className}}" for method in CLASS}
    table |= {f"{method} /parse/classes/{{className}}/{{objectId}}" for method in OBJECT}

    told_together = {place for place in table if any(path in place for path in ALIASES)}
    assert table - told_together <= set(HEADINGS)
    for heading in set(ALIASES.values()):
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert f"`{method}" in sections()[heading]


def test_what_belongs_to_parse_server_is_told() -> None:
    """Every path that is refused stands on the page."""
    assert [path for path in NOT_OURS if f"`/{path}`" not in PAGE] == []


def test_every_v1_endpoint_is_told() -> None:
    """By method and path."""
    for door in (
        pushes,
        waves,
        steps,
        reviews,
        reports,
        previews,
        templates,
        token_history,
        campaigns,
    ):
        for route in door.router.routes:
            path = route.path_format.replace("{push_id}", "{id}")
            path = path.replace("{campaign}", "{id}")
            if door is token_history:
                path = path.replace("{installation}", "{id}")
            for method in route.methods:
                assert f"{method} {path}" in HEADINGS


def test_every_reason_not_to_be_targeted_is_told() -> None:
    """In the table of its endpoint."""
    section = sections()["GET /v1/pushes/{id}/devices/{installation}"]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)[1:] == list(Why)


def test_every_health_endpoint_is_told() -> None:
    """With an example."""
    for route in HEALTH:
        assert f"curl $URL{route.path}" in PAGE


def test_every_section_has_an_example() -> None:
    """That can be pasted."""
    for heading, section in sections().items():
        assert "```sh\ncurl " in section, heading
