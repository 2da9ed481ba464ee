"""WHAT CAME OF IT: counts, status, feedback, metrics."""
