"""Errors of the media stage keep their kind, code and one-line message on the way between processes."""

import pickle

import pytest

from cuewise.mllm.media import MediaError, MediaNotFound, MediaTimeout, MediaTooLarge, MediaUnreadable
from cuewise.mllm.media.errors import CODES


@pytest.mark.parametrize(
    "error",
    [
        MediaNotFound("a.mp4: no permission", "no_permission"), MediaUnreadable("a.mp4: bad"),
        MediaTooLarge("a.mp4: long", "too_long"), MediaTimeout("a.mp4: slow"),
    ],
)  # fmt: skip
def test_error_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error.with_trace("trace")))
    assert (type(copy), str(copy), copy.code, copy.trace) == (type(error), str(error), error.code, "trace")
    assert copy.code in CODES
    assert isinstance(copy, MediaError)


def test_message_is_one_line():
    assert str(MediaUnreadable("a.mp4: bad\n  because\tof that")) == "a.mp4: bad because of that"
