"""HTTP in: no SQL, no payload rules."""
