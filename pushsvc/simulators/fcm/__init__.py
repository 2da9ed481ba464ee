"""FCM v1: schema, checks, OAuth, faults."""
