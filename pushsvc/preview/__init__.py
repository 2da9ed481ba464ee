"""A push seen before it is sent: what each device would get, how many there are, how long it takes.

Nothing is stored, and no gateway is called.
"""
