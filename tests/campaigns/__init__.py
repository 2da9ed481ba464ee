"""Campaigns on real processes: what gateways had for each device, held against the reports."""
