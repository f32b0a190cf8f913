"""Why a clip could not be read. Every message is one line that names the file, the problem and the limit.

`code` is stable and is what programs compare; the table of codes is in docs/media.md.
"""

CODES = {
    "not_found": "there is no such file",
    "is_directory": "the path is a directory",
    "not_a_file": "the path is a device, socket or pipe",
    "no_permission": "the file may not be read",
    "empty_file": "the file has no bytes",
    "undecodable": "no decoder can read the file",
    "no_streams": "the file holds neither picture nor sound",
    "bad_span": "the span asked for lies outside the file",
    "bad_arrays": "the arrays handed in are no picture or no sound",
    "too_long": "the clip is longer than max_seconds",
    "too_many_pixels": "the picture is larger than max_pixels (max_image_pixels for a still image)",
    "too_many_streams": "the file has more than max_streams streams",
    "too_large": "the file is larger than max_file_mb",
    "timeout": "decoding took longer than decode_timeout_s, or more processor time than decode_cpu_s",
    "out_of_memory": "decoding needed more memory than memory_mb",
}


class MediaError(Exception):
    """A clip that cannot be read. `code` is one of `CODES`."""

    code = "undecodable"

    def __init__(self, message: str, code: str | None = None):
        super().__init__(" ".join(message.split()))
        if code is not None:
            self.code = code

        self.trace = ""
        """Traceback of an unexpected error in the decoding process, for developers."""

    def with_trace(self, trace: str) -> "MediaError":
        """This error with the traceback behind it."""
        self.trace = trace
        return self

    def __reduce__(self) -> tuple:
        return type(self), (str(self), self.code), {"trace": self.trace}


class MediaNotFound(MediaError):  # noqa: N818
    """Nothing that can be opened lies there: not_found, is_directory, not_a_file, no_permission."""

    code = "not_found"


class MediaUnreadable(MediaError):  # noqa: N818
    """The bytes are no media: empty_file, undecodable, no_streams, bad_span, bad_arrays."""


class MediaTooLarge(MediaError):  # noqa: N818
    """A limit was passed: too_long, too_many_pixels, too_many_streams, too_large, out_of_memory."""

    code = "too_large"


class MediaTimeout(MediaError):  # noqa: N818
    """Decoding was stopped because it took too long."""

    code = "timeout"
