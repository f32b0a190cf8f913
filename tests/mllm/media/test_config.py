"""Media options refuse what cannot work, with the fix in the message."""

import subprocess
import sys

import pytest

from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.media import MediaConfig


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("sampler", "first", "uniform, middle, peak, event"),
        ("detector", "dlib", "cascade, yunet, none"),
        ("detector", "yunet", "yunet_path"),
        ("num_frames", 0, "num_frames must be >= 1, got 0"),
        ("max_seconds", 0.0, "max_seconds must be > 0"),
        ("memory_mb", 10.0, "memory_mb must be >= 128"),
        ("face_margin", 2.0, r"face_margin must lie in \[0, 1\]"),
    ],
)
def test_wrong_options_are_refused(option, value, text):
    with pytest.raises(ValueError, match=text):
        MediaConfig(**{option: value})


def test_unknown_option_names_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean `media\.max_seconds`"):
        from_dict(MediaConfig, {"max_second": 3}, "media.")


def test_the_package_loads_no_decoder_and_no_torch():
    code = (
        "import sys, cuewise.mllm.media as m; m.MediaConfig(); m.MediaError; m.Media; m.MediaWorker;"
        "print([n for n in ('torch', 'av', 'decord', 'cv2', 'scipy', 'PIL') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
