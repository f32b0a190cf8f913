"""Settings: four layers, one direction; what cannot be is named."""

import pytest

from cuewise.serve.auth import hash_key
from cuewise.serve.settings import Key, Settings, SettingsError, is_loopback, load_settings

HASH = hash_key("k")


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_defaults(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("port: 1\nlimits: {in_flight: 2, body_mb: 3}\nmedia: {num_frames: 5}\n")
    environ = {"CUEWISE_SERVE_LIMITS__BODY_MB": "4", "CUEWISE_SERVE_PORT": "6", "HOME": "x"}
    settings = load_settings(path, ["port=7"], environ)
    assert (settings.port, settings.limits.body_mb, settings.limits.in_flight) == (7, 4.0, 2)
    assert settings.media.num_frames == 5 and settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("override", "message"),
    [("prot=1", "did you mean `port`"), ("limits.body=1", r"limits\.body_mb"), ("port=x", "`port` must be int"),
     ("port=70000", r"0\.\.65535"), ("limits.in_flight=0", "limits.in_flight must be > 0"), ("nothing", "key=value"),
     ("timeline.hop_s=9", "timeline.hop_s"), ("keys=[{name: a, sha256: zz}]", "64 hexadecimal digits"),
     ("show_flagged=sexual", "must be a list"), ("media.num_frames=0", "media.num_frames"), ("port.x=1", "port")],
)  # fmt: skip
def test_what_cannot_be_is_named(override, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(None, [override], {})


def test_a_file_that_is_no_mapping_or_not_there_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text("- 1\n")
    for name in ("a.yaml", "none.yaml"):
        with pytest.raises(SettingsError, match=name):
            load_settings(tmp_path / name, [], {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.5", "example.org"])
def test_nothing_outside_is_bound_without_a_key(host):
    with pytest.raises(SettingsError, match="no key is set"):
        Settings(host=host).check_bind()
    Settings(host=host, keys=[Key(name="a", sha256=HASH)]).check_bind()


def test_loopback_is_told_apart():
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost", "127.9.9.9")))
    assert not any(map(is_loopback, ("0.0.0.0", "localhost.evil.test", "128.0.0.1", "")))


def test_keys_come_from_the_file(tmp_path):
    (tmp_path / "s.yaml").write_text(f"keys:\n  - {{name: a, sha256: {HASH}, per_minute: 3}}\n")
    assert load_settings(tmp_path / "s.yaml", [], {}).keys[0].per_minute == 3
