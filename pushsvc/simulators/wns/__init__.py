"""WNS: checks, both token endpoints, faults."""
