"""`cuewise analyze`: clips, a folder of clips, or words in; a report for each out, in order, from one batched run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cuewise.errors import UserError

if TYPE_CHECKING:
    from cuewise.mllm.media.config import MediaConfig

FORMS = ("explained", "direct")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything about the clip, the model and the output."""
    parser.add_argument(
        "clips", nargs="*", metavar="CLIP", help="video, image or sound file, or a folder of such files"
    )
    clip = parser.add_argument_group("the clip")
    clip.add_argument("--text", metavar="WORDS", help="words alone, without any media (@FILE reads them from a file)")
    clip.add_argument("--audio", metavar="FILE", help="sound from another file; alone: a clip of sound only")
    clip.add_argument("--start", type=float, metavar="S", help="begin of the span to read, in seconds")
    clip.add_argument("--end", type=float, metavar="S", help="end of the span to read, in seconds")
    clip.add_argument(
        "--person", default="largest", metavar="WHO",
        help="whose face: largest (default), central, active, or a number from the left, from 0",
    )  # fmt: skip
    clip.add_argument("--transcript", metavar="WORDS", help="what is said (@FILE reads it from a file)")
    clip.add_argument("--subtitles", metavar="FILE", help="what is said and when, as .srt or .vtt")
    clip.add_argument("--context", metavar="TEXT", help="what the model should know besides, e.g. what happened before")

    model = parser.add_argument_group("the model")
    model.add_argument(
        "--model", default="nano", metavar="MODEL",
        help="nano (default), nano-research, the folder of a model of ours or of a multimodal model of transformers "
        "(Qwen2.5-VL, Qwen3-VL, Qwen2.5-Omni …), or openai:MODEL@http://host:port/v1",
    )  # fmt: skip
    model.add_argument("--adapter", metavar="NAME", help="adapter to load on the model: a folder, or a training run")
    model.add_argument(
        "--form", choices=FORMS, default="explained", help="with cues and reasoning (default), or labels only"
    )
    model.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 …")
    model.add_argument(
        "--speech-to-text", metavar="MODEL", help="Whisper model (folder or hub name) that writes the words"
    )
    model.add_argument("--frames", type=int, metavar="N", help="frames to read from the clip (default 16)")
    model.add_argument("--sampler", metavar="NAME", help="which frames: uniform (default), middle, peak, event")
    model.add_argument("--detector", metavar="NAME", help="how faces are found: cascade (default), yunet, none")
    model.add_argument("--yunet", metavar="FILE", help="YuNet model file (.onnx); chooses that detector")

    output = parser.add_argument_group("the output")
    output.add_argument("--json", action="store_true", help="one JSON line per clip instead of text")
    output.add_argument("--out", type=Path, metavar="FILE", help="write the JSON lines to a file as well")
    output.add_argument("--html", type=Path, metavar="FILE", help="write one page with players, lanes and evidence")
    output.add_argument("--stream", action="store_true", help="show the answer while it is written (one clip)")


def run(args: argparse.Namespace) -> int:
    """Analyze and report; exit code 2 when a clip could not be read."""
    from cuewise.inputs import clips_from_args
    from cuewise.outputs import Outputs, check_writable

    clips = clips_from_args(args)
    if args.stream and len(clips) > 1:
        raise UserError(f"--stream shows one clip while it is answered, but {len(clips)} clips were given")
    outputs = Outputs(json=args.json, out=args.out, html=args.html, stream=args.stream)
    check_writable(outputs)
    media = media_config(args)
    from cuewise.running import report_on

    adapter = {"adapter": args.adapter} if args.adapter else {}
    return report_on(
        clips, outputs, form=args.form, model=args.model, media=media, speech_to_text=args.speech_to_text,
        device=args.device, **adapter,
    )  # fmt: skip


def media_config(args: argparse.Namespace) -> "MediaConfig":
    """The media options of the command line over the defaults."""
    from cuewise.mllm.media.config import MediaConfig

    if args.yunet and args.detector not in (None, "yunet"):
        raise UserError(f"--yunet FILE chooses the yunet detector, but --detector {args.detector} was given; drop one")
    options = {
        "num_frames": args.frames, "sampler": args.sampler, "yunet_path": args.yunet,
        "detector": "yunet" if args.yunet else args.detector,
    }  # fmt: skip
    try:
        return MediaConfig(**{name: value for name, value in options.items() if value is not None})
    except ValueError as error:
        raise UserError(str(error)) from error
