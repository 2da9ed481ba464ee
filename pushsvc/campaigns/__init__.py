"""Campaigns: what one is, when it is due, the push that each of its runs becomes."""
