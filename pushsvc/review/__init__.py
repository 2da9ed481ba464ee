"""A push seen afterwards: what came of each device, and why one did not get it."""
