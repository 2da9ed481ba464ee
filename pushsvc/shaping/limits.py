"""How large a payload may be, and the refusals of what is not."""

import re
from typing import Final

from pushsvc.model import Refused

#: Apple, "Generating a remote notification": 4 KB, 5 KB for VoIP. Bytes of the JSON.
APNS_PAYLOAD_BYTES: Final = 4096
APNS_VOIP_PAYLOAD_BYTES: Final = 5120
#: Apple, "Sending notification requests to APNs": `apns-collapse-id`, in bytes.
COLLAPSE_ID_BYTES: Final = 64

#: Firebase, "About FCM messages": 4096 bytes. How they count is not published; the sum of all
#: keys and values is what their errors agree with.
FCM_PAYLOAD_BYTES: Final = 4096
#: FCM v1, `AndroidConfig.ttl`: four weeks, in seconds.
FCM_TTL_SECONDS: Final = 2_419_200

#: Microsoft, "Push notification service request and response headers": 413 above this.
WNS_PAYLOAD_BYTES: Final = 5000
#: The same page: characters of `X-WNS-Tag` and `X-WNS-Group`, letters and digits only.
WNS_TAG_CHARACTERS: Final = 16

#: Parse's limit of an object. A push is kept as one.
CONTENT_BYTES: Final = 131_072
#: Deeper JSON is an attack or a mistake; our JSON encoder stops at 254.
CONTENT_DEPTH: Final = 64

#: Finished messages kept for one push and form: badges up to 100 in a handful of locales. 4 MB
#: when every one of them is as large as can be.
KEPT_SHAPES: Final = 1024
#: Drafts kept for one push and form: the locales that one content can be in.
KEPT_DRAFTS: Final = 256
#: Choices of texts that are looked at when a push is submitted or previewed.
CHOICES: Final = 1024
#: Devices' locale strings kept for one push, each with the texts it was given.
KEPT_LOCALES: Final = 4096

#: No gateway takes a larger payload.
MOST_PAYLOAD_BYTES: Final = max(APNS_VOIP_PAYLOAD_BYTES, FCM_PAYLOAD_BYTES, WNS_PAYLOAD_BYTES)
#: No message that is too large is made beyond this, to tell its size: a text may stand in many
#: places.
WEIGHED_BYTES: Final = 1_048_576
TOO_LARGE: Final = Refused(reason="PayloadTooLarge")
#: The push has something to say, but to other devices than this one; Apple's word.
PAYLOAD_EMPTY: Final = Refused(reason="PayloadEmpty")

#: XML 1.0 section 2.2: no other character can be written, not even escaped.
NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Header fields kept for one push: an app has a handful of bundle ids.
KEPT_HEADS: Final = 256
#: Seconds since 1970 that twelve digits can say; the year 33,658.
LATEST_EXPIRY: Final = 10**12
