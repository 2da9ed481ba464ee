"""Google's token endpoint for service accounts: an RS256 assertion for an access token.

https://developers.google.com/identity/protocols/oauth2/service-account
"""

from collections.abc import Mapping
from typing import Any

from pushsvc.simulators import jose
from pushsvc.simulators.exchange import Answer, Exchange
from pushsvc.simulators.registry import FcmAccount
from pushsvc.simulators.token_endpoint import TokenEndpoint, oauth_error, read_form

PATH = b"/token"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: What google-auth names as audience whatever the account's `token_uri` is.
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPES = {
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
}
MAX_LIFETIME_SECONDS = 3600
#: Google allows a sender's clock to run ahead a little.
MAX_AHEAD_SECONDS = 60.0


class GoogleTokens(TokenEndpoint):
    """`POST /token`."""

    def welcome(self, exchange: Exchange) -> Answer:
        """An access token for the account's project, or the OAuth error."""
        form = read_form(exchange)
        if exchange.method != b"POST" or form is None:
            return oauth_error(400, "invalid_request", "Bad Request")
        if form.get("grant_type") != GRANT_TYPE:
            sentence = f"Invalid grant_type: {form.get('grant_type', '')}"
            return oauth_error(400, "unsupported_grant_type", sentence)
        try:
            assertion = jose.parse(form.get("assertion", "").encode())
        except jose.TokenError:
            return oauth_error(400, "invalid_grant", "Bad Request")
        account = self.registry.fcm.get(str(assertion.claims.get("iss")))
        if account is None:
            return oauth_error(400, "invalid_grant", "Invalid grant: account not found")
        return self._problem(assertion, account) or self.issue(
            exchange, account.project_id, kind="Bearer"
        )

    def _problem(self, assertion: jose.Jwt, account: FcmAccount) -> Answer | None:
        kid = assertion.header.get("kid")
        known = kid is None or kid == account.private_key_id
        if not known or not assertion.signed_by(account.public_key):
            return oauth_error(400, "invalid_grant", "Invalid JWT Signature.")
        claims = assertion.claims
        if claims.get("aud") not in {account.token_uri, GOOGLE_AUDIENCE}:
            return oauth_error(400, "invalid_grant", "Invalid JWT: Failed audience check.")
        if not _timely(claims, self.now()):
            sentence = (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim."
            )
            return oauth_error(400, "invalid_grant", sentence)
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            return oauth_error(400, "invalid_scope", "Invalid OAuth scope or ID token audience.")
        return None


def _timely(claims: Mapping[str, Any], now: float) -> bool:
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    if not isinstance(issued_at, (int, float)) or not isinstance(expires_at, (int, float)):
        return False
    short = expires_at - issued_at <= MAX_LIFETIME_SECONDS
    return short and issued_at <= now + MAX_AHEAD_SECONDS and expires_at > now
