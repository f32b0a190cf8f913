"""A web application on a free port of the loopback, for tests that need real HTTP."""

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn


@contextlib.contextmanager
def serving(app) -> Iterator[str]:
    """The address of a server that runs in a thread while the block lasts."""
    quiet = {"log_config": None, "access_log": False}
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, timeout_graceful_shutdown=2, **quiet))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    limit = time.monotonic() + 120
    while not server.started and thread.is_alive() and time.monotonic() < limit:
        time.sleep(0.02)
    assert server.started, "the server did not start"
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
