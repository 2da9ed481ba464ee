"""The /v1 REST surface."""
