"""Why an engine takes no request; apart from the engines, so that a server can tell without loading torch."""


class QueueFull(RuntimeError):  # noqa: N818  the name says what is wrong
    """More requests wait than the engine may hold; try again later."""


class EngineClosed(RuntimeError):  # noqa: N818
    """The engine drains, is closed or has died; the message says which."""
