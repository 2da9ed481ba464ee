"""The servers there are."""

from pushsvc.embedded import postgresql, redis
from pushsvc.embedded.home import Kind
from pushsvc.embedded.program import Program

PROGRAMS: dict[Kind, Program] = {"postgres": postgresql.PROGRAM, "redis": redis.PROGRAM}
