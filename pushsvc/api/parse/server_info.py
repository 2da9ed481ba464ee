"""`/serverInfo`: what of Parse is here, in the words that its dashboard goes by."""

from typing import Final

import pushsvc
from pushsvc.api.parse.call import Call, Reply
from pushsvc.model import Json

#: The version of Parse Server whose contract we follow.
PARSE_SERVER_VERSION: Final = "9.10.0"
#: Parse Server's names (its FeaturesRouter), each true or false of us.
FEATURES: Final[Json] = {
    "globalConfig": {"create": False, "read": False, "update": False, "delete": False},
    "hooks": {"create": False, "read": False, "update": False, "delete": False},
    "cloudCode": {"jobs": False},
    "logs": {"level": False, "size": False, "order": False, "until": False, "from": False},
    "push": {
        "immediatePush": True,
        "scheduledPush": True,
        "storedPushData": True,
        "pushAudiences": True,
        "localization": True,
    },
    "schemas": {
        "addField": False,
        "removeField": False,
        "addClass": False,
        "removeClass": False,
        "clearAllDataFromClass": False,
        "exportClass": False,
        "editClassLevelPermissions": False,
        "editPointerPermissions": False,
    },
    "settings": {"securityCheck": False},
}


async def get(call: Call) -> Reply:
    """Tell the features and versions; for the master key."""
    call.caller.require_master()
    return Reply(
        body={
            "features": FEATURES,
            "parseServerVersion": PARSE_SERVER_VERSION,
            "pushsvcVersion": pushsvc.__version__,
        }
    )
