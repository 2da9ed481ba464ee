"""WHEN, AND IN WHAT PIECES: due moments, batches, and the queue that wakes the workers."""
