import base64
import io

import numpy as np
import pytest
from PIL import Image

from cuewise.mllm.messages import read_messages


def user(*parts) -> list[dict]:
    return [{"role": "user", "content": list(parts)}]


def picture(colour=(200, 10, 30), size=(112, 84)) -> Image.Image:
    return Image.new("RGB", size, colour)


def encoded(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def test_a_video_file_stays_a_file_with_its_span():
    part = {"type": "video", "video": "file:///clips/a.mp4", "video_start": 1.0, "video_end": 2.5, "fps": 2.0}
    request = read_messages(user(part, {"type": "text", "text": "How does she feel?"}))
    (clip,) = request.clips
    assert (str(clip.path), clip.start, clip.end) == ("/clips/a.mp4", 1.0, 2.5)
    assert request.question == "How does she feel?"


def test_sound_joins_the_video_it_stands_with():
    request = read_messages(user({"type": "video", "video": "a.mp4"}, {"type": "audio", "audio": "a.wav"}))
    assert [(clip.path, clip.audio) for clip in request.clips] == [("a.mp4", "a.wav")]


def test_sound_alone_is_a_clip():
    request = read_messages(user({"type": "audio", "audio": "a.wav"}, {"type": "text", "text": "?"}))
    assert [clip.path for clip in request.clips] == ["a.wav"]


def test_samples_and_inline_sound_are_read():
    wave = np.zeros(800, np.float32)
    request = read_messages(user({"type": "audio", "audio": wave, "sampling_rate": 8000}))
    assert request.clips[0].sample_rate == 8000 and request.clips[0].samples is wave
    inline = {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"RIFF").decode(), "format": "wav"}}
    assert read_messages(user(inline)).clips[0].audio == b"RIFF"


@pytest.mark.parametrize("form", ["pil", "base64", "openai"])
def test_a_picture_in_the_message_becomes_one_frame(form):
    part = {
        "pil": {"type": "image", "image": picture()}, "base64": {"type": "image", "image": encoded(picture())},
        "openai": {"type": "image_url", "image_url": {"url": encoded(picture())}},
    }[form]  # fmt: skip
    (clip,) = read_messages(user(part)).clips
    assert clip.frames.dtype == np.uint8 and clip.frames.shape[0] == 1 and clip.frames.shape[3] == 3
    assert np.abs(clip.frames[0].reshape(-1, 3).mean(0) - [200, 10, 30]).max() < 1


def test_a_list_of_frames_keeps_order_number_and_rate():
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    part = {"type": "video", "video": [picture(colour) for colour in colours], "sample_fps": 5.0}
    (clip,) = read_messages(user(part)).clips
    assert clip.fps == 5.0 and len(clip.frames) == 3
    assert [int(frame.reshape(-1, 3).mean(0).argmax()) for frame in clip.frames] == [0, 1, 2]


def test_system_history_and_question_are_told_apart():
    request = read_messages([
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}, {"role": "user", "content": "And now?"},
    ])  # fmt: skip
    assert request.system == "Be brief." and request.question == "And now?"
    assert request.history == [("user", "Hello"), ("assistant", "Hi")] and request.clips == []


def test_the_type_may_be_told_by_the_key():
    request = read_messages(user({"video": "a.mp4"}, {"text": "?"}))
    assert request.clips[0].path == "a.mp4" and request.question == "?"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "at least one message"),
        ([{"role": "tool", "content": "x"}], "must be system, user or assistant, got 'tool'"),
        ([{"role": "assistant", "content": "x"}], "last message must come from the user"),
        (user({"type": "movie", "movie": "x"}), "unknown content type 'movie'"),
        (user({"type": "video", "video": "https://example.org/a.mp4"}), "remote address"),
        (user({"type": "video", "video": ["http://example.org/1.png"]}), "remote address"),
        (user({"type": "image", "image": None}), "must be a file"),
        (user({"type": "video", "video": []}), "must be a file"),
        (user({"type": "audio", "audio": 3}), "must be a file, bytes"),
        (user({"type": "input_audio", "input_audio": {"data": "?"}}), "not valid base64"),
        (
            user({"type": "video", "video": "a.mp4"}, {"type": "audio", "audio": "a"}, {"type": "audio", "audio": "b"}),
            "1 pictures or videos and 2 sounds",
        ),
    ],
)
def test_what_cannot_be_read_is_named(messages, message):
    with pytest.raises(ValueError, match=message):
        read_messages(messages)


def test_importing_does_not_load_the_vision_tools():
    import subprocess
    import sys

    code = "import sys, cuewise.mllm.messages; sys.exit('qwen_vl_utils' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
