"""Both token endpoints of WNS: Partner Center's (login.live.com) and Entra's.

https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/wns-overview
https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/push-quickstart
"""

import hmac
import re

from pushsvc.simulators.exchange import Answer, Exchange
from pushsvc.simulators.registry import WnsApp
from pushsvc.simulators.token_endpoint import TokenEndpoint, oauth_error, read_form

LEGACY_PATH = b"/accesstoken.srf"
ENTRA_PATH = re.compile(rb"/([A-Za-z0-9.-]{1,64})/oauth2/v2\.0/token")
FORM_FIELDS = {"grant_type", "client_id", "client_secret", "scope"}
LEGACY_SCOPE = "notify.windows.com"
ENTRA_SCOPE = "https://wns.windows.com/.default"


class MicrosoftTokens(TokenEndpoint):
    """`POST /accesstoken.srf` and `POST /{tenant}/oauth2/v2.0/token`."""

    @staticmethod
    def owns(path: bytes) -> bool:
        """Whether a path is a token endpoint and not a channel."""
        return path == LEGACY_PATH or ENTRA_PATH.fullmatch(path) is not None

    def welcome(self, exchange: Exchange) -> Answer:
        """An access token for the app, or the OAuth error."""
        form = read_form(exchange)
        if exchange.method != b"POST" or form is None:
            return oauth_error(400, "invalid_request", "A form is required.")
        if set(form) != FORM_FIELDS:
            wrong = ", ".join(sorted(set(form) ^ FORM_FIELDS))
            return oauth_error(400, "invalid_request", f"Missing or unexpected fields: {wrong}")
        if form["grant_type"] != "client_credentials":
            return oauth_error(400, "unsupported_grant_type", "client_credentials is required.")
        app = self.registry.wns.get(form["client_id"])
        entra = ENTRA_PATH.fullmatch(exchange.path)
        if entra:
            return self._entra(exchange, form, app, tenant=entra[1].decode())
        return self._legacy(exchange, form, app)

    def _legacy(self, exchange: Exchange, form: dict[str, str], app: WnsApp | None) -> Answer:
        if app is None or app.tenant_id is not None:
            return oauth_error(400, "invalid_client", "Invalid client id")
        if not _same(form["client_secret"], app.client_secret):
            return oauth_error(400, "invalid_client", "Invalid client secret")
        if form["scope"] != LEGACY_SCOPE:
            return oauth_error(400, "invalid_scope", "The scope must be notify.windows.com")
        return self.issue(exchange, app.client_id, kind="bearer")

    def _entra(
        self, exchange: Exchange, form: dict[str, str], app: WnsApp | None, *, tenant: str
    ) -> Answer:
        if app is None or app.tenant_id != tenant:
            sentence = "AADSTS700016: Application was not found in the directory."
            return oauth_error(400, "unauthorized_client", sentence)
        if not _same(form["client_secret"], app.client_secret):
            sentence = "AADSTS7000215: Invalid client secret provided."
            return oauth_error(401, "invalid_client", sentence)
        if form["scope"] != ENTRA_SCOPE:
            sentence = (
                "AADSTS70011: The provided value for the input parameter 'scope' is not valid."
            )
            return oauth_error(400, "invalid_scope", sentence)
        return self.issue(exchange, app.client_id, kind="Bearer")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
