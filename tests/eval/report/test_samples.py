"""samples.parquet: whatever a model writes is kept, and damage is named."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cuewise.eval.report.results import ResultsError
from cuewise.eval.report.samples import OWN_COLUMNS, SampleRecord, read_samples, write_samples


def test_every_sample_comes_back_as_it_was(run, tmp_path):
    assert write_samples(tmp_path, run[1]) == len(run[1])
    assert read_samples(tmp_path) == run[1]
    names = set(pq.read_schema(tmp_path / "samples.parquet").names)
    assert names == OWN_COLUMNS | {"speaker", "gender", "language", "subset"}


def test_more_samples_than_one_chunk_keep_their_order(tmp_path):
    records = (SampleRecord(id=str(i), dataset="d", gt="sad", groups={"speaker": f"s{i % 7}"}) for i in range(4501))
    assert write_samples(tmp_path / "many.parquet", records) == 4501
    assert [r.id for r in read_samples(tmp_path / "many.parquet")] == [str(i) for i in range(4501)]


def test_a_run_without_samples_is_an_empty_table(tmp_path):
    assert write_samples(tmp_path, []) == 0
    assert read_samples(tmp_path) == []


def test_nan_null_bytes_and_half_surrogates_can_be_stored(tmp_path):
    text = "a\x00b \ud83d c <script> \u202e"
    scores, parsed = {"m": float("nan")}, {"labels": [text]}
    record = SampleRecord(id="x", dataset="d", gt=None, text=text, scores=scores, parsed=parsed)
    write_samples(tmp_path, [record])
    (read,) = read_samples(tmp_path)
    assert read.scores == {"m": None} and read.score("m") is None
    assert read.text == text.replace("\ud83d", "?")


@pytest.mark.parametrize("name", ["id", "scores", "prompt_tokens"])
def test_a_group_cannot_take_the_name_of_a_column(tmp_path, name):
    with pytest.raises(ResultsError, match=f"`{name}`"):
        write_samples(tmp_path, [SampleRecord(id="x", dataset="d", gt="sad", groups={name: "y"})])
    assert list(tmp_path.iterdir()) == []


def test_damage_is_named(tmp_path):
    with pytest.raises(ResultsError, match=r"samples\.parquet does not exist"):
        read_samples(tmp_path)
    (tmp_path / "samples.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ResultsError, match=r"samples\.parquet is damaged"):
        read_samples(tmp_path)
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "samples.parquet")
    with pytest.raises(ResultsError, match="lacks column `completion_tokens`; it has id"):
        read_samples(tmp_path)
    columns = {name: ["{"] for name in OWN_COLUMNS}
    pq.write_table(pa.table(columns), tmp_path / "samples.parquet")
    with pytest.raises(ResultsError, match="row 0, column `gt` is no JSON"):
        read_samples(tmp_path)


def test_a_column_that_appears_late_is_kept_in_a_list_and_refused_in_a_stream(tmp_path):
    records = [SampleRecord(id=str(i), dataset="d", gt="sad") for i in range(2501)]
    records[-1].groups = {"late": "x"}
    write_samples(tmp_path, records)
    assert [r.groups["late"] for r in read_samples(tmp_path)[2499:]] == [None, "x"]
    with pytest.raises(ResultsError, match="'2500' has a group column `late` that earlier samples lack"):
        write_samples(tmp_path / "again.parquet", iter(records))
    assert not (tmp_path / "again.parquet").exists()
