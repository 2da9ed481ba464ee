"""What `/v1/campaigns` takes: a definition, and who said yes to how many."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from pushsvc.api.v1.bodies import MOST_RECIPIENTS, parse_resumption
from pushsvc.campaigns.definition import Definition, parse_definition
from pushsvc.errors import Fault, InvalidRequestError

CONFIRM: Final = "confirm_recipients"


class NewCampaign(Definition):
    """A campaign as it is asked for."""

    confirm_recipients: Annotated[int, Field(ge=0, le=MOST_RECIPIENTS)] | None = Field(
        None, description="Go ahead with an audience of up to so many, past `max_recipients`."
    )


def parse_new_campaign(body: Mapping[str, Any]) -> tuple[Definition, int | None]:
    """Return the campaign that is asked for, and how large an audience was said yes to.

    Raises:
        InvalidRequestError: with a pointer to each field at fault.
    """
    faults: list[Fault] = []
    rest = {key: value for key, value in body.items() if key != CONFIRM}
    confirmed, definition = None, None
    try:
        confirmed = parse_resumption({CONFIRM: body.get(CONFIRM)}).confirm_recipients
    except InvalidRequestError as error:
        faults.extend(error.faults)
    try:
        definition = parse_definition(rest)
    except InvalidRequestError as error:
        faults.extend(error.faults)
    if definition is None or faults:
        raise InvalidRequestError(faults)
    return definition, confirmed
