"""APNs: checks, provider tokens, faults."""
