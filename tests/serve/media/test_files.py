"""The file store: bounded, private to each client, and empty after its time."""

import pytest

from cuewise.serve.errors import ApiError
from cuewise.serve.media.files import FileStore, clean_name, suffix_of
from cuewise.serve.settings import FileSettings


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock, tmp_path):
    store = FileStore(FileSettings(folder=str(tmp_path / "store"), max_files=3, total_mb=0.001, expire_s=60), clock)
    yield store
    store.close()


def put(store, tmp_path, size: int = 10, tenant: str = "a"):
    path = tmp_path / "incoming"
    path.write_bytes(b"x" * size)
    return store.add(path, "clip.mp4", "user_data", tenant)


def test_a_file_is_found_by_its_owner_only(store, tmp_path):
    file = put(store, tmp_path)
    assert store.get(file.id, "a").path.read_bytes() == b"x" * 10 and not (tmp_path / "incoming").exists()
    with pytest.raises(ApiError, match="there is no file"):
        store.get(file.id, "b")
    assert store.list("b") == [] and store.list("a") == [file]


def test_files_expire_and_leave_the_disk(store, tmp_path, clock):
    file = put(store, tmp_path)
    clock.now += 61
    with pytest.raises(ApiError, match="expired"):
        store.get(file.id, "a")
    assert not file.path.exists() and len(store) == 0


def test_a_full_store_refuses_until_there_is_room(store, tmp_path):
    first, _, _ = (put(store, tmp_path) for _ in range(3))
    with pytest.raises(ApiError) as caught:
        put(store, tmp_path)
    assert caught.value.code == "storage_full" and caught.value.status == 429 and caught.value.headers()["Retry-After"]
    store.delete(first.id, "a")
    put(store, tmp_path)
    with pytest.raises(ApiError, match=r"files\.total_mb"):
        store.delete(store.list("a")[0].id, "a"), put(store, tmp_path, size=2000)


def test_the_folder_is_gone_at_the_end():
    store = FileStore(FileSettings())
    scratch = store.scratch()
    scratch.path("a.mp4").write_bytes(b"x")
    folder = store.folder
    store.close()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "shown"),
    [("../../etc/passwd", "passwd"), ("C:\\x\\a.mp4", "a.mp4"), ("", "clip"), (None, "clip"), (".hidden", "hidden"),
     ("a\nb\x00.mp4", "ab.mp4"), ("x" * 500 + ".mp4", "x" * 116 + ".mp4"), ("日本.mp4", "日本.mp4")],
)  # fmt: skip
def test_names_lose_what_is_not_theirs(name, shown):
    assert clean_name(name) == shown


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.MP4", ".mp4"), ("a", ""), ("a.verylong", ""), ("a.m/4", ""), ("a.mp4\n", "")]
)
def test_suffixes_are_short_and_plain(name, suffix):
    assert suffix_of(name) == suffix
