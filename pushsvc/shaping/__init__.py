"""WHAT: content shaped for each gateway; pure."""
