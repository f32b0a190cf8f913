"""Report on one clip and print each cue with its verdict: python examples/analyze_clip.py CLIP [WORDS]."""

import sys

import cuewise


def main() -> None:
    """Read the clip named on the command line."""
    path, words = sys.argv[1], " ".join(sys.argv[2:]) or None
    report = cuewise.analyze(path, transcript=words)
    print(", ".join(emotion.label for emotion in report.emotions), f"(confidence {report.confidence})")
    for cue in report.cues:
        span = "" if cue.start is None else f"{cue.start:.2f}-{cue.end:.2f} s"
        verdict = cue.check.verdict if cue.check else "no checkable claim"
        print(f"{cue.channel:5} {span:14} {cue.observation} [{verdict}]")


if __name__ == "__main__":
    main()
