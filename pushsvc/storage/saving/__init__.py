"""Saves of installations: those that arrive together are one transaction."""
