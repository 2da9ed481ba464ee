"""The service under fire: a seeded storm, and a judge that compares every ledger after it."""
