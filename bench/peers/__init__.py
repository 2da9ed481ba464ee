"""HTTP/2 clients with one task: so many small POSTs to one server, each answer looked at.

Each is a program of its own, run in turns by `bench.wire`: it reads a `Task` from its standard
input and prints a `Result`.
"""
