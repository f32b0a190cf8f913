"""A live server on the loopback with a tiny model, shared by all tests of serving."""

from collections.abc import Iterator

import httpx
import pytest
from live_server import serving
from media_samples import audio_file, sample_video
from tiny import tiny_model, tiny_processor

from cuewise.mllm.media.config import MediaConfig
from cuewise.serve.app import create_app
from cuewise.serve.settings import Limits, Settings


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> str:
    """A tiny model as it lies on disk."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    model = tiny_model()
    model.save_pretrained(folder)
    tiny_processor(model.config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def media_config() -> MediaConfig:
    return MediaConfig(num_frames=4, detector="none", decode_timeout_s=60)


@pytest.fixture(scope="session")
def settings(model_folder, media_config) -> Settings:
    return Settings(
        model=model_folder, decode_workers=1, media=media_config, limits=Limits(body_mb=4, in_flight=64, max_tokens=512)
    )


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)


@pytest.fixture(scope="session")
def address(app) -> Iterator[str]:
    with serving(app) as url:
        yield url


@pytest.fixture
def client(address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    return sample_video(tmp_path_factory.mktemp("media"), seconds=1.5, size=(96, 64), fps=10)


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    return audio_file(tmp_path_factory.mktemp("media"), "wav", seconds=1.2)
