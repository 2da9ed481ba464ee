"""Postgres: the tables, the engine, and every statement but the where-clause."""
