"""The decoding process of `MediaWorker`: reads clips from a pipe, answers with `Media` or an exception.

It imports neither torch nor the caller's main module, keeps OpenCV to one thread, writes nothing, and ends when its
parent does.
"""

import os
import pickle
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection

_PARENT_CHECK_S = 1.0


def main(descriptor: int, parent: int) -> None:
    """Serve requests on the connected socket `descriptor` until it is closed."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with Connection(descriptor) as pipe:
        _silence()
        import cv2

        from cuewise.mllm.media.decode import import_decord
        from cuewise.mllm.media.load import load_media

        cv2.setNumThreads(1)
        import_decord()
        config = pickle.loads(pipe.recv_bytes())
        pipe.send_bytes(b"ready")
        while True:
            try:
                clip = pickle.loads(pipe.recv_bytes())
            except (EOFError, OSError):
                return
            answer = _answer(load_media, clip, config)
            del clip
            try:
                pipe.send_bytes(pickle.dumps(answer, protocol=5))
            except OSError:
                return
            del answer


def _answer(load, clip, config):
    from cuewise.mllm.media.errors import MediaError, MediaTooLarge
    from cuewise.mllm.media.faces import DetectorError

    try:
        return load(clip, config)
    except MediaError as error:
        unexpected = error.__cause__
        return error.with_trace("".join(traceback.format_exception(unexpected))) if unexpected else error
    except DetectorError as error:
        return error
    except MemoryError:
        return MediaTooLarge(
            f"{clip.name}: decoding ran out of memory, the limit media.memory_mb is {config.memory_mb:g} MiB",
            "out_of_memory",
        )


def _silence() -> None:
    """Standard input, output and error lead nowhere: decoders print what `Media.problems` says better."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _end_with(parent: int) -> None:
    """End this process when the parent has ended, even in the middle of a decoder that hangs."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
