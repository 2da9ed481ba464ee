"""`POST /_reset`: empties an app, between the tests of a suite."""

from pushsvc.api.parse.call import Call, Reply
from pushsvc.storage import emptying


async def create(call: Call) -> Reply:
    """Delete all of the app but its keys, credentials and settings; for the master key."""
    call.caller.require_master()
    app = call.caller.app
    await emptying.empty_app(call.resources.engine, app.id)
    call.resources.schemas.forget(app.id)
    return Reply(body={})
