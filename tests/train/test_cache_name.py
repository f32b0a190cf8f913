"""The name of a cache follows the media files, not only the rows that point to them."""

import hashlib
import os

from tiny import tiny_processor

from cuewise.data_recipes.schema import Row
from cuewise.mllm.media import MediaConfig
from cuewise.train import cache_name
from cuewise.train.cache_name import fingerprint
from cuewise.train.examples import SourceConfig

ROW = Row(id="a", corpus="mine", media={"audio": "a.wav"}, labels=["happy"])


def name(root, row=ROW) -> str:
    source = SourceConfig(kind="rows", folder="rows.jsonl")
    return fingerprint(source, tiny_processor(), MediaConfig(), [(row, 1.0)], root)


def write(folder, content: bytes, time_ns: int = 10**18) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "a.wav").write_bytes(content)
    os.utime(folder / "a.wav", ns=(time_ns, time_ns))


def test_a_replaced_file_another_root_and_a_missing_file_get_names_of_their_own(tmp_path):
    write(tmp_path / "one", b"first")
    first = name(tmp_path / "one")
    assert first == name(tmp_path / "one")
    write(tmp_path / "two", b"longer one")
    names = {first, name(tmp_path / "two"), name(tmp_path / "gone")}
    write(tmp_path / "one", b"other", time_ns=10**18 + 1)
    assert len(names | {name(tmp_path / "one")}) == 4


def test_sources_without_files_keep_their_names(tmp_path, monkeypatch):
    """Of clips made on the spot, only code, options and seeds count; of words, only the row."""
    fed = []

    class Spy:
        def __init__(self, first=b""):
            fed.append(first)

        def update(self, data):
            fed.append(data)

        def hexdigest(self):
            return "0" * 64

    config = SourceConfig(kind="synthetic", count=2)
    words = Row(id="w", corpus="mine", transcript="so it is")
    monkeypatch.setattr(cache_name, "code_version", lambda _: "code")
    monkeypatch.setattr(hashlib, "sha256", Spy)
    fingerprint(config, tiny_processor(), MediaConfig(), [(7, 1.0), (words, 0.5)], tmp_path)
    assert fed[1:] == [b"7 1.0\n", f"{words.model_dump_json(exclude={'options', 'layers'})} 0.5\n".encode()]
