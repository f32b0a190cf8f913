"""Still and animated images by Pillow, and frames handed in as arrays, with the face of `decode.Picture`."""

import numpy as np

from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.decode import scaled_size
from cuewise.mllm.media.errors import MediaTooLarge, MediaUnreadable
from cuewise.mllm.media.probe import Header, Source, check_pixels, open_image
from cuewise.mllm.report import Problem

_DEFAULT_FRAME_S = 0.1
"""Browsers show frames of an animation that name no time, or less than 20 ms, for 100 ms."""


class StillImage:
    """One picture: one frame at time 0, no length."""

    def __init__(self, source: Source, header: Header):
        self._source, self._header = source, header
        self.size = (header.width, header.height)
        self.times_s, self.end_s = np.zeros(1), 0.0
        self.problems: list[Problem] = []

    def read(self, indices: np.ndarray, long_side: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Picture.read`."""
        from PIL import ImageOps

        try:
            with open_image(self._source) as image:
                image.draft("RGB", (long_side, long_side))  # JPEG: scaled while decoding
                frame = self._upright(ImageOps.exif_transpose(image), long_side)
        except MemoryError:
            raise
        except Exception:  # Pillow's decoders raise almost any type on damaged data
            frame = self._damaged(long_side)
        return np.repeat(frame[None], len(indices), axis=0), indices

    def _upright(self, image, long_side: int) -> np.ndarray:
        width, height = self.size
        if (image.width > image.height) != (width > height):
            self.size = (height, width)
        return _rgb(image, scaled_size(self.size, long_side))

    def _damaged(self, long_side: int) -> np.ndarray:
        """What can still be decoded of a damaged picture; the rest is grey."""
        from PIL import ImageFile, ImageOps

        ImageFile.LOAD_TRUNCATED_IMAGES, kept = True, ImageFile.LOAD_TRUNCATED_IMAGES
        try:
            with open_image(self._source) as image:
                frame = self._upright(ImageOps.exif_transpose(image), long_side)
        except Exception as error:  # as above
            raise MediaUnreadable(f"{self._header.name}: the picture cannot be decoded ({error})") from None
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = kept
        if frame.std() < 1e-3:
            raise MediaUnreadable(f"{self._header.name}: the picture cannot be decoded (its data are missing)")
        self.problems.append(Problem(code="damaged_image", message="the picture is damaged: a part of it is missing"))
        return frame


class Animation:
    """Animated GIF, WebP, PNG or AVIF. Frames depend on those before, so they are read in order."""

    def __init__(self, source: Source, header: Header, config: MediaConfig):
        self._source, self._header = source, header
        self.size = (header.width, header.height)
        self.problems: list[Problem] = []
        seconds = []
        for image in self._frames(config.max_frames):
            shown = float(image.info.get("duration") or 0) / 1000
            seconds.append(shown if shown >= 0.02 else _DEFAULT_FRAME_S)
        if not seconds:
            raise MediaUnreadable(f"{header.name}: no frame of the animation can be decoded")
        ends = np.cumsum(seconds)
        self.times_s, self.end_s = ends - np.array(seconds), float(ends[-1])

    def _frames(self, most: int):
        """The opened image at each of its frames; a damaged frame ends the animation and is noted."""
        try:
            with open_image(self._source) as image:
                for index in range(most):
                    try:
                        image.seek(index)
                    except EOFError:
                        return
                    image.load()  # WebP and AVIF know a frame's time only now; damage shows here and not at the user
                    yield image
        except (MemoryError, GeneratorExit):
            raise
        except Exception as error:  # as above
            if not self.problems:
                message = f"the animation is damaged: {error or type(error).__name__}"
                self.problems.append(Problem(code="damaged_image", message=message))

    def read(self, indices: np.ndarray, long_side: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Picture.read`."""
        target = scaled_size(self.size, long_side)
        wanted = {int(index) for index in indices}
        arrays, kept = [], []
        for index, image in enumerate(self._frames(int(indices[-1]) + 1)):
            if index in wanted:
                arrays.append(_rgb(image, target))
                kept.append(index)
        shape = (0, target[1], target[0], 3)
        return np.stack(arrays) if arrays else np.zeros(shape, np.uint8), np.array(kept, dtype=np.int64)


class ArrayFrames:
    """Frames that the caller has decoded: uint8 [T, H, W, 3] RGB."""

    def __init__(self, frames: np.ndarray, fps: float, name: str, config: MediaConfig):
        frames = np.asarray(frames)
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
            raise MediaUnreadable(
                f"{name}: clip.frames must be uint8 [T, H, W, 3] RGB, got {frames.dtype} {list(frames.shape)}",
                "bad_arrays",
            )
        if not (np.isfinite(fps) and fps > 0):
            raise MediaUnreadable(f"{name}: clip.fps must be > 0, got {fps}", "bad_arrays")
        if len(frames) > config.max_frames:
            limit = f"the limit media.max_frames is {config.max_frames:,}"
            raise MediaTooLarge(f"{name}: clip.frames has {len(frames):,} frames, {limit}", "too_long")
        check_pixels(name, frames.shape[2], frames.shape[1], config.max_pixels, "max_pixels")
        self._frames = frames
        self.size = (frames.shape[2], frames.shape[1])
        self.times_s, self.end_s = np.arange(len(frames)) / fps, len(frames) / fps
        self.problems: list[Problem] = []

    def read(self, indices: np.ndarray, long_side: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Picture.read`."""
        return resize_all(self._frames[indices], scaled_size(self.size, long_side)), indices




def open_image_file(source: Source, header: Header, config: MediaConfig) -> StillImage | Animation:
    """Reader of the image that `header` describes."""
    if header.kind == "image":
        return StillImage(source, header)
    return Animation(source, header, config)


def resize_all(frames: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """uint8 [T, h, w, 3] scaled to (width, height)."""
    import cv2

    if (frames.shape[2], frames.shape[1]) == tuple(target):
        return frames
    shrinks = target[0] < frames.shape[2]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, target, interpolation=how) for frame in frames])


def _rgb(image, target: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w, 3]; what is transparent becomes white."""
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image)
    elif image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image, dtype=np.uint16) >> 8).astype(np.uint8))
    image = image.convert("RGB")
    if image.size != tuple(target):
        image = image.resize(target, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image, dtype=np.uint8)
