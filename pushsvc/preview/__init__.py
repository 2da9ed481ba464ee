"""A push seen before it is sent."""
