"""Messages for Apple devices that are reached through FCM: Apple's own form within FCM's.

FCM hands headers and payload on to APNs; the topic is that of the app that the token is of.
"""

from pushsvc.model import Json
from pushsvc.shaping import apns
from pushsvc.shaping.content import Content, Envelope


def message(content: Content, envelope: Envelope) -> Json:
    """Return the message in the texts of this content, but for its token and badge."""
    push_type, aps = apns.aps_of(content, envelope)
    # Strings: FCM refuses a number here.
    headers = apns.headers(content, envelope, push_type)
    return {
        "apns": {
            "headers": {f"apns-{name}": value for name, value in headers.items()},
            "payload": {"aps": aps, **apns.custom_keys(content, push_type)},
        }
    }
