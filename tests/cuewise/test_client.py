"""The client against a live server with a tiny model."""

import pytest
from live_server import serving
from media_samples import audio_file
from tiny import tiny_model, tiny_processor

from cuewise.client import Client, ServerError
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.report import EmotionReport, Word
from cuewise.serve.app import create_app
from cuewise.serve.auth import hash_key
from cuewise.serve.settings import Key, Settings


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    model = tiny_model()
    model.save_pretrained(folder)
    tiny_processor(model.config).save_pretrained(folder)
    media = MediaConfig(num_frames=4, detector="none", decode_timeout_s=60)
    keys = [Key(name="me", sha256=hash_key("secret"))]
    settings = Settings(model=str(folder), media=media, decode_workers=1, keys=keys)
    with serving(create_app(settings)) as address, Client(address, key="secret") as client:
        yield client


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return audio_file(tmp_path_factory.mktemp("sound"), "wav", seconds=2.0)


def test_a_file_its_bytes_and_its_id_give_the_same_report(client, sound):
    report = client.analyze(sound, form="direct", words=[Word(text="we", start=0.1, end=0.3)])
    assert isinstance(report, EmotionReport) and report.clip == sound.name and report.words[0].text == "we"
    stored = client.upload(sound)
    for clip in (sound.read_bytes(), stored):
        assert client.analyze(clip, form="direct", words=[Word(text="we", start=0.1, end=0.3)]).text == report.text
    client.delete(stored)
    with pytest.raises(ServerError) as caught:
        client.analyze(stored)
    assert (caught.value.status, caught.value.code) == (404, "file_not_found") and caught.value.request_id


def test_a_stream_is_text_and_then_the_report(client, sound):
    *pieces, report = client.stream(sound, form="direct")
    assert isinstance(report, EmotionReport) and "".join(pieces) == report.text
    *pieces, report = client.stream(transcript="we won", form="direct")
    assert report.streams["words"].present and "".join(pieces) == report.text


def test_a_timeline_ends_with_its_end(client, sound):
    events = list(client.timeline(sound, form="direct", window_s=1, hop_s=0.5))
    assert events[-1]["type"] == "end" and events[-1]["end"] == pytest.approx(2.0, abs=0.1)
    segments = [event for event in events if event["type"] == "segment"]
    assert [s["start"] for s in segments] == [0.0, 0.5, 1.0, 1.5]


def test_models_and_readiness(client):
    assert client.ready() and client.models()[0]["id"] == "tiny"
    with Client("http://127.0.0.1:9") as nobody:
        assert not nobody.ready()


def test_a_wrong_key_is_an_error_with_its_code(client):
    with Client(str(client._http.base_url), key="wrong") as stranger, pytest.raises(ServerError) as caught:
        stranger.models()
    assert (caught.value.status, caught.value.code) == (401, "invalid_key")
