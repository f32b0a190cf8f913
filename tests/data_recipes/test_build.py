"""A corpus folder becomes a rows file whose media paths hold from where the file lies."""

import pytest

from cuewise.data_recipes.build import build
from cuewise.data_recipes.schema import read_jsonl


@pytest.fixture
def emodb(tmp_path):
    for name in ("03a01Fa", "13a07Wd"):
        path = tmp_path / "corpora" / "emodb" / "wav" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "corpora" / "emodb"


def test_rows_point_to_the_media_from_the_folder_of_the_file(tmp_path, emodb):
    out = tmp_path / "rows" / "emodb.jsonl"
    summary = build("emodb", emodb, out)
    rows = list(read_jsonl(out))
    assert [row.media["audio"] for row in rows] == [f"../corpora/emodb/wav/{n}.wav" for n in ("03a01Fa", "13a07Wd")]
    assert all((out.parent / row.media["audio"]).is_file() for row in rows)
    assert summary.endswith("2 rows of EMO-DB (dev 1, train 1); licence CC0-1.0, may be used for products")


def test_one_split(tmp_path, emodb):
    build("emodb", emodb, tmp_path / "dev.jsonl", split="dev")
    assert [row.id for row in read_jsonl(tmp_path / "dev.jsonl")] == ["13a07Wd"]


def test_nothing_is_written_when_the_corpus_is_broken(tmp_path, emodb):
    (emodb / "wav" / "99x.wav").write_bytes(b"x")
    with pytest.raises(ValueError, match="no EMO-DB name"):
        build("emodb", emodb, tmp_path / "rows.jsonl")
    assert not (tmp_path / "rows.jsonl").exists()


def test_refusals(tmp_path, emodb):
    with pytest.raises(ValueError, match="did you mean `emodb`"):
        build("emo-db", emodb, tmp_path / "rows.jsonl")
    with pytest.raises(ValueError, match=r"is a folder; give the name of the rows file, e\.g\. .*emodb\.jsonl"):
        build("emodb", emodb, tmp_path)
