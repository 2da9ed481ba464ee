"""The Parse REST surface."""
