"""Figures of the whole service against a sink: a gateway that says yes as fast as can be had."""
