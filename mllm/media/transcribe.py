"""Words with times from sound, by a Whisper model through transformers. Needs torch; nothing else in media does."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from cuewise.mllm.media.types import SAMPLE_RATE_HZ
from cuewise.mllm.report import Word


class TranscriberError(ValueError):
    """The speech-to-text model that is configured cannot be used."""


def transcribe(samples: np.ndarray, model_path: str, language: str | None = None) -> list[Word]:
    """Words of float32 [n] sound at 16 kHz, with times in seconds.

    `model_path` is a folder, or a hub name that lies in the local cache; `language` a BCP 47 tag, None to let the model
    find it. Raises TranscriberError when there is no such model or it is no speech-to-text model.
    """
    samples = np.asarray(samples, dtype=np.float32)
    if samples.ndim != 1:
        raise ValueError(f"transcribe needs mono sound [n], got an array of shape {list(samples.shape)}")
    if len(samples) < SAMPLE_RATE_HZ // 20:
        return []
    recogniser = _recogniser(str(model_path))
    options: dict[str, object] = {}
    if getattr(recogniser.model.generation_config, "is_multilingual", False):
        options = {"task": "transcribe"} | ({"language": language.split("-")[0].lower()} if language else {})
    seconds = len(samples) / SAMPLE_RATE_HZ
    result = recogniser(
        {"raw": samples, "sampling_rate": SAMPLE_RATE_HZ}, return_timestamps="word", generate_kwargs=options
    )
    return _words(result.get("chunks", []), seconds)


def _words(chunks: list[dict], seconds: float) -> list[Word]:
    """Words with times inside the clip; a word whose end Whisper leaves open lasts to the end of the clip."""
    words, clock = [], 0.0
    for chunk in chunks:
        text = chunk["text"].strip()
        if not text:
            continue
        start, end = chunk["timestamp"]
        start = min(max(float(clock if start is None else start), clock), seconds)
        end = min(max(float(seconds if end is None else end), start), seconds)
        words.append(Word(text=text, start=start, end=end))
        clock = start
    return words


@lru_cache(maxsize=1)
def _recogniser(model_path: str):
    """The pipeline, loaded once."""
    from transformers import AutoConfig, AutoProcessor, WhisperForConditionalGeneration, pipeline

    local = Path(model_path).exists()
    try:
        config = AutoConfig.from_pretrained(model_path, local_files_only=True)
    except (OSError, ValueError) as error:
        where = "the folder holds no model" if local else "there is no such folder, nor such a model in the local cache"
        raise TranscriberError(
            f"speech_to_text: {model_path!r} cannot be loaded, {where}; download a Whisper model first, "
            "or give the words with transcript or subtitles"
        ) from error
    if config.model_type != "whisper":
        raise TranscriberError(f"speech_to_text: {model_path!r} is a {config.model_type} model, not a Whisper model")
    model = WhisperForConditionalGeneration.from_pretrained(model_path, local_files_only=True).eval()
    processor = AutoProcessor.from_pretrained(model_path, local_files_only=True)
    return pipeline(
        "automatic-speech-recognition", model=model, tokenizer=processor.tokenizer,
        feature_extractor=processor.feature_extractor, chunk_length_s=30,
    )  # fmt: skip
