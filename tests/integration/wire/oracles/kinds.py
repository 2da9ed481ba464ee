"""The kinds of requests that each server is asked, after what it can answer."""

from pushsvc.delivery.wire import NotProcessed, Unknown
from tests.integration.wire.oracles.traffic import HUGE, LARGE, NOTHING, Kind, counts, echoes, says

SMALL = b'{"ok":true}'
GONE = b'{"reason":"Unregistered","timestamp":1700000000000}'
BAD = b'{"reason":"BadDeviceToken"}'
BUSY = b'{"reason":"TooManyRequests"}'
MOVED = (b"location", b"https://localhost/elsewhere")
LATER = (b"retry-after", b"7")

#: What every server with a program in it answers alike.
_PROGRAMMED = [
    Kind(path=b"/empty", body=NOTHING, weight=120),
    Kind(path=b"/small", body=says(SMALL)),
    Kind(path=b"/large", body=says(LARGE), weight=20),
    Kind(path=b"/huge", body=says(HUGE), weight=1),
    Kind(path=b"/counted", body=counts, weight=120),
    Kind(path=b"/echo", body=echoes, weight=120),
    Kind(path=b"/gone", status=410, body=says(GONE)),
    Kind(path=b"/bad", status=400, body=says(BAD)),
    Kind(path=b"/busy", status=429, body=says(BUSY), headers=(LATER,)),
    Kind(path=b"/silent", status=500, body=NOTHING),
    Kind(path=b"/none", status=204, body=NOTHING),
    Kind(path=b"/moved", status=307, body=NOTHING, headers=(MOVED,)),
    Kind(path=b"/small", method=b"HEAD", body=NOTHING),
    Kind(path=b"/large", method=b"GET", body=says(LARGE), weight=10),
]

NGINX = [
    Kind(path=b"/empty", body=NOTHING, weight=120),
    Kind(path=b"/small", body=says(SMALL)),
    Kind(path=b"/large", body=says(LARGE), weight=20),
    Kind(path=b"/huge", body=says(HUGE), weight=1),
    # Read in full by nginx, and counted by another server behind it.
    Kind(path=b"/counted", body=counts, weight=120),
    Kind(path=b"/gone", status=410, body=says(GONE)),
    Kind(path=b"/bad", status=400, body=says(BAD)),
    Kind(path=b"/busy", status=429, body=says(BUSY), headers=(LATER,)),
    Kind(path=b"/page", status=500, body=None),
    Kind(path=b"/none", status=204, body=NOTHING),
    Kind(path=b"/moved", status=301, body=None, headers=(MOVED,)),
    Kind(path=b"/large", method=b"HEAD", body=NOTHING),
    Kind(path=b"/large", method=b"GET", body=says(LARGE), weight=10),
]

#: It cannot give the id back; an echo is the request's own as well.
NGHTTPD = [
    Kind(path=b"/echo", body=echoes, own_id=False, weight=240),
    Kind(path=b"/small", method=b"GET", body=says(SMALL), own_id=False),
    Kind(path=b"/empty", method=b"GET", body=NOTHING, own_id=False),
    Kind(path=b"/large", method=b"GET", body=says(LARGE), own_id=False, weight=10),
    Kind(path=b"/huge", method=b"GET", body=says(HUGE), own_id=False, weight=1),
    Kind(path=b"/small", method=b"HEAD", body=NOTHING, own_id=False),
    Kind(path=b"/missing", method=b"GET", status=404, body=None, own_id=False),
    Kind(path=b"/folder", method=b"GET", status=301, body=NOTHING, own_id=False),
    Kind(
        path=b"/small",
        method=b"GET",
        fields=((b"if-modified-since", b"Fri, 31 Dec 2100 23:59:59 GMT"),),
        status=304,
        body=NOTHING,
        own_id=False,
    ),
]

H2O = [
    *_PROGRAMMED,
    Kind(path=b"/files/large", method=b"GET", body=says(LARGE), own_id=False, weight=10),
    Kind(path=b"/files/small", method=b"HEAD", body=NOTHING, own_id=False),
    Kind(path=b"/files/small", status=405, body=None, own_id=False),
    Kind(path=b"/files/missing", method=b"GET", status=404, body=None, own_id=False),
]

NODE = [
    *_PROGRAMMED,
    Kind(path=b"/hints", body=says(SMALL)),
    Kind(path=b"/trailers", body=says(SMALL)),
    Kind(path=b"/only-trailers", body=NOTHING),
    Kind(path=b"/pieces", body=says(LARGE), weight=10),
    Kind(path=b"/many", body=says(SMALL), headers=((b"x-39", b"thirty-nine"),)),
    # A field beyond the wire's limit, over several frames: it is dropped, the answer counts.
    Kind(path=b"/long", body=says(SMALL), weight=10),
    # Answered before the body has come; few, since what is then not sent is reset, and node's
    # library takes a thousand resets at once for an attack.
    Kind(path=b"/early", body=says(SMALL), weight=10),
    Kind(path=b"/refused", body=NOTHING, verdict=NotProcessed("reset: REFUSED_STREAM"), weight=10),
    Kind(path=b"/broken", body=NOTHING, verdict=Unknown("reset: INTERNAL_ERROR"), weight=10),
    # The connection's SETTINGS change: small windows and no table, then the usual again.
    Kind(path=b"/settings", body=NOTHING, weight=10),
]

HYPERCORN = [
    *_PROGRAMMED,
    Kind(path=b"/hints", body=says(SMALL)),
    Kind(path=b"/trailers", body=says(SMALL)),
]
