"""WHO: a where-clause becomes a condition tree, then SQL; the audience is streamed by key."""
