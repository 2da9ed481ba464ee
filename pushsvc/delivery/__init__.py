"""SEND: messages to gateways, answers to outcomes."""
