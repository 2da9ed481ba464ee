"""Where an object is: its one GeoPoint, as the columns that queries look up. Pure."""

from pushsvc.model import Json


def place_of(fields: Json) -> dict[str, float | None]:
    """Return the columns of the object's place, in degrees; NULL where it is nowhere."""
    for value in fields.values():
        if isinstance(value, dict) and value.get("__type") == "GeoPoint":
            return {"latitude": value["latitude"], "longitude": value["longitude"]}
    return {"latitude": None, "longitude": None}
