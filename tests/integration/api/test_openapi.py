"""The description of `/v1` that programs read."""

from typing import Any

import pytest

from tests.integration.api.conftest import Api


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    """What `/v1/openapi.json` says."""
    answer = await api.call("GET", "/v1/openapi.json")
    assert answer.status == 200
    return dict(answer.body)


async def test_it_describes_every_operation(document: dict[str, Any]) -> None:
    """Of `/v1`, and nothing of the Parse API, which has its own contract."""
    operations = {
        (method, path) for path, methods in document["paths"].items() for method in methods
    }

    assert operations == {
        ("post", "/v1/pushes"),
        ("post", "/v1/pushes:preview"),
        ("post", "/v1/deliveries"),
        ("get", "/v1/deliveries/{delivery_id}"),
        ("get", "/v1/groups/{group}"),
        ("get", "/v1/pushes"),
        ("get", "/v1/pushes/{push_id}"),
        ("patch", "/v1/pushes/{push_id}"),
        ("post", "/v1/pushes/{push_id}:cancel"),
        ("post", "/v1/pushes/{push_id}:pause"),
        ("post", "/v1/pushes/{push_id}:resume"),
        ("get", "/v1/pushes/{push_id}/opens"),
        ("get", "/v1/pushes/{push_id}/waves"),
        ("post", "/v1/pushes/{push_id}/opens"),
        ("get", "/v1/pushes/{push_id}/report"),
        ("get", "/v1/campaigns/{campaign}/report"),
        ("get", "/v1/pushes/{push_id}/outcomes"),
        ("get", "/v1/pushes/{push_id}/devices/{installation}"),
        ("put", "/v1/templates/{name}"),
        ("get", "/v1/templates/{name}"),
        ("get", "/v1/templates"),
        ("delete", "/v1/templates/{name}"),
        ("get", "/v1/installations/{installation}/token-history"),
        ("post", "/v1/campaigns"),
        ("post", "/v1/campaigns:preview"),
        ("get", "/v1/campaigns"),
        ("get", "/v1/campaigns/{campaign}"),
        ("put", "/v1/campaigns/{campaign}"),
        ("delete", "/v1/campaigns/{campaign}"),
        ("get", "/v1/campaigns/{campaign}/runs"),
        ("post", "/v1/campaigns/{campaign}:run"),
        ("post", "/v1/campaigns/{campaign}:pause"),
        ("post", "/v1/campaigns/{campaign}:resume"),
        ("post", "/v1/campaigns/{campaign}:cancel"),
    }


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """To a schema among the components."""
    schemas = document["components"]["schemas"]

    def references(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for part in node.values():
                yield from references(part)
        elif isinstance(node, list):
            for part in node:
                yield from references(part)

    found = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert {"NewPush", "PushView", "PushPage", "OpensPage", "Problem"} <= found
    assert {"ExplanationView", "AttemptView", "OutcomesPage", "OutcomeView"} <= found
    assert {"PreviewView", "VariantView", "RequestView"} <= found
    assert {"NewTemplate", "TemplateView", "TemplatePage"} <= found
    assert found <= set(schemas)


async def test_a_parameter_that_nobody_reads_is_refused(api: Api, document: dict[str, Any]) -> None:
    """By every operation: `validate_only` as a parameter must not send in earnest."""
    for path, methods in document["paths"].items():
        for method in methods:
            url = path.replace("{", "").replace("}", "")
            answer = await api.v1(method.upper(), f"{url}?validate_onyl=1", json={})
            assert (answer.status, answer.body["code"]) == (400, "invalid_request"), (method, path)
            assert answer.codes == ["unknown_parameter"], (method, path)


async def test_errors_are_problems(document: dict[str, Any]) -> None:
    """For every operation, and never the framework's own form."""
    for methods in document["paths"].values():
        for operation in methods.values():
            content = operation["responses"]["4XX"]["content"]
            assert list(content) == ["application/problem+json"]
            assert "422" not in operation["responses"]
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])
