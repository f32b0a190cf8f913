"""`cuewise data doctor FOLDER`: a media cache is verified and pruned."""

import torch

from cuewise.__main__ import main
from cuewise.mllm.cache import CacheFolder


def test_a_damaged_cache_is_reported_then_pruned(tmp_path, capsys):
    store = CacheFolder(tmp_path)
    for i in range(3):
        store.put(f"{i}" * 64, {"x": torch.zeros(100)}, {})
    store.path("0" * 64).write_bytes(b"torn")
    assert main(["data", "doctor", str(tmp_path)]) == 2
    assert "damaged entry" in capsys.readouterr().out
    assert main(["data", "doctor", str(tmp_path), "--prune", "--max-gb", "0.000001"]) == 0
    assert "1 entries" in capsys.readouterr().out
    assert main(["data", "doctor", str(tmp_path)]) == 0


def test_a_folder_that_is_no_cache_and_a_limit_without_prune_are_refused(tmp_path, capsys):
    assert main(["data", "doctor", str(tmp_path)]) == 2
    assert "is a folder but no media cache" in capsys.readouterr().err
    CacheFolder(tmp_path)
    assert main(["data", "doctor", str(tmp_path), "--max-gb", "1"]) == 2
    assert "say --prune as well" in capsys.readouterr().err
