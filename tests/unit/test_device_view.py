"""What `smartsip device` prints: addresses for the firmware, times for people."""

from datetime import UTC, datetime

import pytest
import typer

from compose.device_view import ago, base_for_devices, config_lines, firmware_constants, is_loopback

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "host", "base"),
    [
        ("http://127.0.0.1:8888", None, "http://127.0.0.1:8888"),
        ("http://127.0.0.1:8888", "192.168.1.20", "http://192.168.1.20:8888"),
        ("http://127.0.0.1:8888", "water.lan:80", "http://water.lan:80"),
        ("http://127.0.0.1:8888", "http://water.lan/", "http://water.lan"),
        ("https://home.example", "water.lan", "https://water.lan"),
        ("http://127.0.0.1:8888", "[fd00::1]", "http://[fd00::1]:8888"),
    ],
)
def test_devices_get_the_address_at_which_they_reach_the_server(url: str, host: str | None, base: str) -> None:
    assert base_for_devices(url, host) == base


@pytest.mark.parametrize("host", ["", "water.lan/path", "water.lan:port", "user@water.lan", "fd00::1", "a b"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"give a host, as in 192\.168\.1\.20 or water\.lan:8888, or a URL"):
        base_for_devices("http://127.0.0.1:8888", host)


@pytest.mark.parametrize(
    ("base", "is_own"),
    [
        ("http://127.0.0.1:8888", True),
        ("http://localhost:8888", True),
        ("http://[::1]:8888", True),
        ("http://0.0.0.0:8888", True),
        ("http://192.168.1.20:8888", False),
        ("http://water.lan", False),
    ],
)
def test_an_address_that_only_this_machine_reaches_is_known(base: str, is_own: bool) -> None:
    assert is_loopback(base) is is_own


def test_the_lines_can_be_pasted_into_the_firmware() -> None:
    credential = {"address": "/d/ssd_token", "access_key": "AKEY", "secret_key": "s3cret"}
    assert config_lines(firmware_constants(credential, "http://water.lan:8888")) == (
        'const char* SERVICE_ADDRESS = "http://water.lan:8888/d/ssd_token";\n'
        'const char* MINIO_URL = "http://water.lan:8888/d/ssd_token";\n'
        'const char* BUCKET_NAME = "test";\n'
        'const char* ACCESS_KEY = "AKEY";\n'
        'const char* SECRET_KEY = "s3cret";'
    )


def test_a_device_that_does_not_sign_needs_no_keys() -> None:
    credential = {"address": "/d/ssd_token", "access_key": None, "secret_key": None}
    assert list(firmware_constants(credential, "http://water.lan")) == ["SERVICE_ADDRESS", "MINIO_URL", "BUCKET_NAME"]


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (None, "never"),
        ("2026-11-21T12:00:01Z", "0 s ago"),
        ("2026-11-21T11:59:18Z", "42 s ago"),
        ("2026-11-21T11:57:00Z", "3 min ago"),
        ("2026-11-21T06:00:00+00:00", "6 h ago"),
        ("2026-11-20T11:00:00Z", "1 day ago"),
        ("2026-11-01T12:00:00Z", "20 days ago"),
    ],
)
def test_how_long_ago_is_said_in_the_largest_unit(moment: str | None, said: str) -> None:
    assert ago(moment, now=NOW) == said
