"""Analyze a folder of clips and print one row per clip: python examples/folder_to_table.py FOLDER."""

import sys
from pathlib import Path

import cuewise


def main() -> None:
    """The model is loaded once; clips that cannot be read are named, the others go on."""
    clips = [cuewise.Clip(path=path) for path in sorted(Path(sys.argv[1]).iterdir()) if path.is_file()]
    with cuewise.load("nano") as analyzer:
        for result in analyzer.analyze_many(clips):
            if isinstance(result, cuewise.EmotionReport):
                labels = ", ".join(emotion.label for emotion in result.emotions)
                print(f"{result.clip:40} {labels:30} {'conflict' if result.agreement.conflict else ''}".rstrip())
            else:
                print(f"{result.clip:40} not read: {result.message}")


if __name__ == "__main__":
    main()
