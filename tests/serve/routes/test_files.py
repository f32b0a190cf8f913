"""Files: sent once, named often, seen by nobody else."""

import pytest


def send(client, data: bytes = b"RIFF", **fields):
    return client.post("/v1/files", files={"file": ("a.wav", data)}, data=fields)


def test_a_file_lives_until_it_is_deleted(client):
    stored = send(client, b"x" * 100, purpose="user_data").json()
    assert stored["bytes"] == 100 and stored["object"] == "file" and stored["expires_at"] - stored["created_at"] == 3600
    assert client.get(f"/v1/files/{stored['id']}").json() == stored
    assert stored["id"] in [file["id"] for file in client.get("/v1/files").json()["data"]]
    assert client.get(f"/v1/files/{stored['id']}/content").content == b"x" * 100
    assert client.delete(f"/v1/files/{stored['id']}").json() == {"id": stored["id"], "object": "file", "deleted": True}
    for method in (client.get, client.delete):
        assert method(f"/v1/files/{stored['id']}").status_code == 404


def test_a_shorter_life_can_be_asked_for(client):
    stored = send(client, **{"expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}).json()
    assert stored["expires_at"] - stored["created_at"] == 60


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"json": {}}, "unsupported_media_type"),
        ({"files": {"other": b"x"}}, "invalid_request"),
        ({"files": {"file": b"x"}, "data": {"purpose": "crime"}}, "invalid_request"),
        ({"files": {"file": b"x"}, "data": {"expires_after[seconds]": "-1"}}, "invalid_request"),
        ({"data": {"file": "text"}, "files": {"x": b""}}, "invalid_request"),
    ],
)
def test_what_is_no_file_is_refused(client, arguments, code):
    answer = client.post("/v1/files", **arguments)
    assert answer.json()["error"]["code"] == code and 400 <= answer.status_code < 500
