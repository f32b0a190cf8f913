"""The media cache: equal losses with and without, safe under many writers, a full disk and damaged files."""

import multiprocessing
import resource
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.mllm.cache import CacheFolder, FrozenEncoders, clip_key, digest, examine_cache, is_cache, media_key
from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.prompts import build
from cuewise.mllm.tensors import ClipTensors

STREAMS = ("face", "scene", "voice", "words")
ENCODERS = tuple(f"{name}.encoder" for name in STREAMS)


def frozen(seed: int = 0):
    model = tiny_model(seed)
    model.freeze(*ENCODERS)
    return model


def loss_of(model, clips: list[ClipTensors]) -> torch.Tensor:
    """Answer loss of some clips in one batch, padded on the right."""
    processor = tiny_processor()
    ids = [processor.prompt_ids(build(clip.streams), processor.num_tokens(clip)) for clip in clips]
    width = max(map(len, ids))
    input_ids = torch.tensor([one + [0] * (width - len(one)) for one in ids])
    mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in ids])
    return model(input_ids=input_ids, attention_mask=mask, labels=input_ids, **processor.collate(clips)).loss


def clips() -> list[ClipTensors]:
    processor = tiny_processor()
    kinds = [STREAMS, ("voice",), ("face", "scene", "words"), STREAMS]
    return [processor.tensors(tiny_media(i, streams=kind, seconds=0.8 + 0.3 * i)) for i, kind in enumerate(kinds)]


def test_losses_and_gradients_are_equal_bit_by_bit_with_and_without_the_cache(tmp_path):
    found = []
    for folder in (None, tmp_path, tmp_path):  # computed, computed and stored, read
        model = frozen()
        reader = FrozenEncoders(model, tiny_processor(), STREAMS, folder)
        loss = loss_of(model, [reader.encode(clip) for clip in clips()])
        loss.backward()
        found.append([loss.detach(), *(w.grad for w in model.parameters() if w.grad is not None)])
    assert reader.folder.misses == 0 and reader.folder.hits > 8
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_states_say_what_encoding_the_batch_at_once_says():
    model = frozen()
    reader = FrozenEncoders(model, tiny_processor(), STREAMS)
    torch.testing.assert_close(loss_of(model, [reader.encode(clip) for clip in clips()]), loss_of(model, clips()))


def test_other_weights_are_other_entries(tmp_path):
    clip = clips()[0]
    FrozenEncoders(frozen(), tiny_processor(), STREAMS, tmp_path).encode(clip)
    other = FrozenEncoders(frozen(seed=1), tiny_processor(), STREAMS, tmp_path)
    other.encode(clip)
    assert other.folder.hits == 0 and other.folder.misses == 4


def test_an_encoder_that_learns_is_refused(tmp_path):
    model = frozen()
    model.unfreeze("voice.encoder")
    with pytest.raises(ValueError, match=r"the voice encoder is being trained.*freeze `voice\.encoder`"):
        FrozenEncoders(model, tiny_processor(), STREAMS, tmp_path)


def test_known_clips_are_not_decoded_again(tmp_path):
    loads = []

    def load(clip: Clip, config: MediaConfig):
        loads.append(clip)
        return tiny_media(0)

    wave = np.linspace(-1, 1, 16_000, dtype=np.float32)
    clip = Clip(samples=wave, sample_rate=16_000, id="a")
    reader = FrozenEncoders(frozen(), tiny_processor(), STREAMS, tmp_path)
    first = reader.clip(clip, MediaConfig(), load)
    again = reader.clip(Clip(samples=wave.copy(), sample_rate=16_000, id="b"), MediaConfig(), load)
    assert len(loads) == 1 and again.duration_s == first.duration_s and again.tensors.lengths == first.tensors.lengths
    for name, stream in first.tensors.streams.items():
        assert torch.equal(stream.values, again.tensors.streams[name].values)
    reader.clip(clip, MediaConfig(num_frames=4), load)
    assert len(loads) == 2
    FrozenEncoders(reader.model, tiny_processor(), ("voice", "words"), tmp_path).clip(clip, MediaConfig(), load)
    assert len(loads) == 3, "other streams hold states there"
    with torch.autocast("cpu", torch.bfloat16):
        reader.clip(clip, MediaConfig(), load)
    assert len(loads) == 4


def test_the_key_of_a_clip_follows_its_bytes_and_its_span(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"one")
    keys = {clip_key(Clip(path=file)), clip_key(Clip(path=file, end=1.0)), clip_key(Clip(path=file, transcript="x"))}
    assert clip_key(Clip(path=file, id="other")) in keys
    (tmp_path / "b.wav").write_bytes(b"one")
    assert clip_key(Clip(path=tmp_path / "b.wav")) in keys
    file.write_bytes(b"two")
    assert clip_key(Clip(path=file)) not in keys and len(keys) == 3


def write_many(folder: str, worker: int) -> None:
    store = CacheFolder(folder)
    for i in range(40):
        store.put(f"{i % 10:02d}" + "0" * 62, {"x": torch.full((500,), float(i % 10))}, {"by": worker})


def test_many_writers_of_the_same_entries_leave_whole_ones(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.starmap(write_many, [(str(tmp_path), worker) for worker in range(4)])
    report = examine_cache(tmp_path)
    assert (report.entries, report.damaged, report.left_over) == (10, [], [])
    assert CacheFolder(tmp_path).get("03" + "0" * 62)[0]["x"][0] == 3.0


def fill_up(folder: str, out) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # the system refuses longer files, as a full disk does
    store = CacheFolder(folder)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        done = [store.put(f"{i:064d}", {"x": torch.zeros(5000)}, {}) for i in range(5)]
    out.put((done, [str(warning.message) for warning in told], store.get("0" * 64)))


def test_a_full_disk_is_one_warning_and_no_cache(tmp_path):
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    child = context.Process(target=fill_up, args=(str(tmp_path), out))
    child.start()
    done, told, found = out.get(timeout=30)
    child.join()
    assert done == [False] * 5 and found is None
    assert len(told) == 1 and "takes no more" in told[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".part"]


def test_damaged_entries_are_found_made_anew_and_pruned(tmp_path):
    store = CacheFolder(tmp_path)
    keys = [f"{i}" * 64 for i in range(3)]
    for key in keys:
        store.put(key, {"x": torch.arange(100.0)}, {})
    flipped = bytearray(store.path(keys[0]).read_bytes())
    flipped[-5] ^= 1
    store.path(keys[0]).write_bytes(flipped)
    store.path(keys[1]).write_bytes(store.path(keys[1]).read_bytes()[:50])
    report = examine_cache(tmp_path)
    assert (report.entries, len(report.damaged), report.status) == (1, 2, 2) and "run again with --prune" in str(report)
    store.path(keys[2]).with_name("." + "9" * 64 + ".1.1.part").write_bytes(b"")
    with pytest.warns(UserWarning, match="cannot be read and is made anew"):
        assert store.get(keys[1]) is None
    report = examine_cache(tmp_path, prune=True)
    assert (report.entries, report.removed, report.status) == (1, 1, 0)
    store.path(keys[0]).parent.mkdir(exist_ok=True)
    store.path(keys[0]).write_bytes(flipped)
    with pytest.warns(UserWarning, match="its content is not what was written"):
        assert store.get(keys[0]) is None
    assert store.get(keys[2])[1]["digest"] == digest({"x": torch.arange(100.0)})


def test_pruning_to_a_size_keeps_what_was_used_last(tmp_path):
    import os

    store = CacheFolder(tmp_path)
    for i in range(4):
        store.put(f"{i}" * 64, {"x": torch.zeros(1000)}, {})
        os.utime(store.path(f"{i}" * 64), (1_000_000 + i, 1_000_000 + i))
    report = examine_cache(tmp_path, prune=True, max_bytes=9000)
    assert report.entries == 2 and store.get("0" * 64) is None and store.get("3" * 64) is not None
    assert is_cache(tmp_path) and not is_cache(Path(tmp_path) / "00")


def test_other_content_of_a_file_that_the_options_name_is_another_key(tmp_path):
    detector = tmp_path / "yunet.onnx"
    keys = []
    for content in (b"one", b"two", b"one"):
        detector.write_bytes(content)
        keys.append(media_key(MediaConfig(yunet_path=str(detector))))
    assert keys[0] == keys[2] != keys[1]
