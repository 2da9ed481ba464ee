"""What Parse Server makes of a push before its adapter sees it: its badge and its language."""

import copy

from tests.integration.builders.cases import Body, Case

LOCALISABLE = ("alert", "title")


def adapter_body(case: Case) -> Body:
    """Return the body that Parse Server hands its adapter for this installation."""
    body = copy.deepcopy(case.body)
    data = body["data"]
    _localise(data, case.locale or "")
    badge = data.get("badge")
    if isinstance(badge, dict) or (isinstance(badge, str) and badge):
        data["badge"] = case.badge
    if case.expires_at is not None:
        body["expiration_time"] = round(case.expires_at.timestamp() * 1000)
    return body


def _localise(data: Body, locale: str) -> None:
    """Take the first locale, in the order of the keys, that the installation's begins with."""
    variants = [key for key in data if key.startswith(("alert-", "title-"))]
    tags = [key.partition("-")[2] for key in variants]
    tag = next((tag for tag in tags if locale.startswith(tag)), None)
    for name in LOCALISABLE if tag else ():
        if text := data.get(f"{name}-{tag}"):
            data[name] = text
    for key in variants:
        del data[key]
