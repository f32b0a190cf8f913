"""Scene and person as two streams: boxes anywhere, frames without a person, and a person never read where none is."""

import numpy as np
import pytest
import tiny
import torch

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, load_media
from cuewise.mllm.media.person import around, inside, person_crops
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.prompts import build

CONV = {"family": "conv_scene", "image_size": 32, "channels": [8, 8, 8, 8], "width": 16}


def clip_media(box=None, frames: int = 3):
    pictures = np.zeros((frames, 40, 60, 3), np.uint8)
    pictures[:, 10:30, 20:40] = (200, 50, 20)
    clip = Clip(frames=pictures, fps=2.0, person_box=box)
    return load_media(clip, MediaConfig(detector="none", num_frames=frames))


@pytest.mark.parametrize(
    ("box", "left"),
    [((-20, -20, 30, 25), (0.0, 0.0, 30.0, 25.0)), ((50, 30, 500, 400), (50.0, 30.0, 60.0, 40.0)),
     ((70, 0, 90, 40), None), ((-9, -9, 0.5, 40), None)],
)  # fmt: skip
def test_boxes_are_cut_at_the_picture_and_those_outside_show_nobody(box, left):
    assert inside(box, (60, 40)) == left
    crops, found = person_crops(clip_media(box), 16)
    assert found.all() == (left is not None) and found.any() == found.all()
    assert crops.any() == (left is not None and left[2] > 20 and left[3] > 10 and left[0] < 40 and left[1] < 30)


def test_the_crop_is_the_box_through_the_resize():
    media = clip_media((20, 10, 40, 30))
    media.frames = media.frames[:, ::2, ::2]  # half the size of the source
    crops, found = person_crops(media, 8)
    assert found.all() and (np.abs(crops.astype(int) - (200, 50, 20)) < 3).all()


def test_without_a_box_the_person_is_around_the_face():
    media = tiny.tiny_media(streams=("face", "scene"))
    media.face.boxes[:] = (6, 4, 12, 10)
    _, found = person_crops(media, 8)
    assert found.tolist() == media.face.found.tolist() and not found.all()
    assert around((10, 10, 20, 20)) == (0, 5, 30, 70)


def model_with() -> CuewiseForConditionalGeneration:
    streams = dict(tiny.tiny_config().streams)
    streams["scene"] = streams["scene"] | {"encoder": {"family": "scene_person", "inner": CONV}}
    return tiny.tiny_model(streams=streams)


def test_a_config_picks_it_and_the_saved_model_answers_the_same(tmp_path):
    model = model_with()
    processor = tiny.tiny_processor(model.config)
    clip = processor.tensors(clip_media((20, 10, 40, 30)))
    assert clip.streams["scene"].values.shape[1:] == (32, 32, 7)
    ids = torch.tensor([processor.prompt_ids(build(clip.streams), processor.num_tokens(clip))])
    batch = processor.collate([clip])
    with torch.no_grad():
        said = model(ids, **batch).logits
        model.save_pretrained(tmp_path)
        again = CuewiseForConditionalGeneration.from_pretrained(tmp_path).eval()
        torch.testing.assert_close(again(ids, **batch).logits, said)


def test_a_person_who_is_not_there_is_never_read_and_one_who_is_counts():
    model = model_with()
    encoder, processor = model.media.towers["scene"].encoder, tiny.tiny_processor(model.config)
    shown, hidden = (processor.tensors(clip_media(box)).streams["scene"] for box in ((20, 10, 40, 30), (90, 0, 99, 9)))
    mask, times = torch.ones(1, 3, dtype=torch.bool), shown.times_s[None]
    with torch.no_grad():
        alone = encoder(hidden.values[None], mask, times).states
        noise = hidden.values.clone()
        noise[..., 3:6] = 77
        torch.testing.assert_close(encoder(noise[None], mask, times).states, alone)
        assert not torch.allclose(encoder(shown.values[None], mask, times).states, alone, atol=1e-3)
        scene, person, there = encoder.two(hidden.values[None], mask, times)
    assert not there.any() and not person.any() and scene.any()
    some = shown.values.clone()
    some[1, ..., 6] = 0
    with torch.no_grad():
        assert encoder.two(some[None], mask, times)[2].tolist() == [[True, False, True]]


def test_an_impossible_box_or_inner_encoder_is_refused():
    with pytest.raises(ValueError, match="person_box must be x0, y0, x1, y1"):
        Clip(transcript="x", person_box=(5, 5, 5, 9))
    from cuewise.mllm.registry import ENCODERS

    with pytest.raises(ValueError, match="must read pictures and give one state each"):
        ENCODERS.build({"family": "scene_person", "inner": {"family": "text", "vocab_size": 9}})
