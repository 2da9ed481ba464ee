"""libcurl's multi interface, a bare loop: handles used again, one connection, no event loop."""

from typing import Any

import pycurl  # type: ignore[import-untyped]  # it has no types

from bench.peers.task import APNS, Clock, Task

CONCURRENT = 100
SELECT_SECONDS = 1.0


class Sender:
    """A number of handles that take the next request when their own is answered."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._is_apns = task.case == APNS
        self._base = f"https://localhost:{task.port}"
        self._urls = [self._base + path for path in task.paths()]
        self._ids = task.ids()
        self._headers = [f"{name}: {value}" for name, value in task.headers.items()]
        self._next = iter(range(task.requests))
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
        self._open = 0
        self.good = 0

    def connect(self) -> None:
        """Let one request open the connection."""
        handle = self._handle()
        handle.setopt(pycurl.URL, self._base)
        self._multi.add_handle(handle)
        self._open = 1
        self._until_done(again=False)
        self.good = 0

    def send(self) -> None:
        """Send them all."""
        for _ in range(CONCURRENT):
            self._take_next(self._handle())
        self._until_done(again=True)

    def _handle(self) -> Any:
        handle = pycurl.Curl()
        handle.lines, handle.body, handle.key = [], [], 0
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.CAINFO, self._task.ca_file)
        handle.setopt(pycurl.POSTFIELDS, self._task.body)
        handle.setopt(pycurl.HEADERFUNCTION, handle.lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, handle.body.append)
        if not self._is_apns:
            handle.setopt(pycurl.HTTPHEADER, self._headers)
        return handle

    def _take_next(self, handle: Any) -> None:
        key = next(self._next, None)
        if key is None:
            return
        handle.key = key
        handle.lines.clear()
        handle.body.clear()
        handle.setopt(pycurl.URL, self._urls[key % len(self._urls)])
        if self._is_apns:
            handle.setopt(pycurl.HTTPHEADER, [*self._headers, f"apns-id: {self._ids[key]}"])
        self._multi.add_handle(handle)
        self._open += 1

    def _until_done(self, *, again: bool) -> None:
        multi = self._multi
        while self._open:
            while multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
                pass
            before, more = self._open, 1
            while more:
                more, ended, failed = multi.info_read()
                for handle in (*ended, *(handle for handle, _, _ in failed)):
                    self._take_answer(handle)
                    before -= 1
                    if again:
                        self._take_next(handle)
            if self._open and self._open == before:
                # Nothing new was added, which would have to be begun first.
                multi.select(SELECT_SECONDS)

    def _take_answer(self, handle: Any) -> None:
        self._multi.remove_handle(handle)
        self._open -= 1
        if handle.getinfo(pycurl.RESPONSE_CODE) == 200:  # noqa: PLR2004 - HTTP
            if self._is_apns:
                wanted = b"apns-id: " + self._ids[handle.key].encode()
                self.good += any(line.rstrip() == wanted for line in handle.lines)
            else:
                self.good += b"".join(handle.body) != b""


def main(task: Task) -> None:
    """Send them all."""
    sender, clock = Sender(task), Clock()
    sender.connect()
    with clock.running():
        sender.send()
    clock.tell(sender.good)


if __name__ == "__main__":
    main(Task.read())
