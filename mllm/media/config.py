"""Options of the media stage: what is sampled, how faces are found, and how much a file may cost."""

from dataclasses import dataclass
from typing import Literal

Sampler = Literal["uniform", "middle", "peak", "event"]
SAMPLERS = ("uniform", "middle", "peak", "event")
DETECTORS = ("cascade", "yunet", "none")


@dataclass(kw_only=True, slots=True)
class MediaConfig:
    """How one clip is read. Everything that decides the content of a `Media` is here."""

    num_frames: int = 16
    """Frames sampled from the picture; fewer when the clip has fewer."""

    sampler: Sampler = "uniform"
    """`uniform` over the span, `middle` of it, around the `peak` of face motion, or by motion `event`."""

    frame_size: int = 160
    """Long side of the frames handed on, in pixels. Smaller pictures are not enlarged."""

    decode_size: int = 640
    """Long side, in pixels, to which the decoder scales frames; faces are found and cropped at this size."""

    scan_size: int = 160
    """Long side, in pixels, at which the samplers `peak` and `event` look at every frame."""

    scan_frames: int = 900
    """Frames that the samplers `peak` and `event` look at; longer spans are looked at in strides."""

    detector: Literal["cascade", "yunet", "none"] = "cascade"
    """Face detector: the cascades that come with OpenCV, YuNet (needs `yunet_path`), or none."""

    yunet_path: str | None = None
    """Model file of YuNet (`face_detection_yunet*.onnx` or `yunet*.onnx`)."""

    detect_size: int = 192
    """Faces are looked for in a picture of this many pixels squared (192: 256x144 for 16:9). Faces must be at least
    20 pixels wide in it for the cascade."""

    face_size: int = 96
    """Side of the square face crops, in pixels."""

    face_margin: float = 0.25
    """Added to each side of the face box before cropping, as a share of its longer side."""

    max_seconds: float = 120.0
    """Longest span that is read, in seconds."""

    max_pixels: int = 3840 * 2160
    """Most pixels of a video frame (width times height)."""

    max_image_pixels: int = 25_000_000
    """Most pixels of a still or animated image; photographs have more than video."""

    max_file_mb: float = 512.0
    """Largest file, in MiB."""

    max_streams: int = 32
    """Most streams in a file."""

    max_frames: int = 20_000
    """Most frames of an animated image or of an array of frames."""

    decode_timeout_s: float = 20.0
    """Wall time a worker may spend on one clip."""

    decode_cpu_s: float = 40.0
    """Processor time a worker may spend on one clip, summed over its threads."""

    memory_mb: float = 512.0
    """Resident memory, file mappings not counted, a worker may hold, in MiB."""

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ValueError(f"media.sampler must be one of {', '.join(SAMPLERS)}, got {self.sampler!r}")
        if self.detector not in DETECTORS:
            raise ValueError(f"media.detector must be one of {', '.join(DETECTORS)}, got {self.detector!r}")
        if self.detector == "yunet" and not self.yunet_path:
            raise ValueError(
                "media.detector is 'yunet' but media.yunet_path names no model file; download "
                "face_detection_yunet_2023mar.onnx from the OpenCV model zoo and set its path, or use 'cascade'"
            )
        for name in ("num_frames", "max_pixels", "max_image_pixels", "max_streams", "max_frames"):
            self._at_least(name, 1)
        for name in ("frame_size", "decode_size", "scan_size", "detect_size", "face_size"):
            self._at_least(name, 16)
        self._at_least("scan_frames", 16)
        for name in ("max_seconds", "max_file_mb", "decode_timeout_s", "decode_cpu_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"media.{name} must be > 0, got {getattr(self, name)}")
        self._at_least("memory_mb", 128)
        if not 0 <= self.face_margin <= 1:
            raise ValueError(f"media.face_margin must lie in [0, 1], got {self.face_margin}")

    def _at_least(self, name: str, least: int) -> None:
        if getattr(self, name) < least:
            raise ValueError(f"media.{name} must be >= {least}, got {getattr(self, name)}")
