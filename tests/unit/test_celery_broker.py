from typing import Any

import pytest
from pydantic import SecretStr

from shared.adapters.celery_broker import PAUSES, QuickConnection, create_celery
from shared.settings import Redis


def broker(url: str) -> tuple[str, dict[str, Any], Any]:
    app = create_celery(Redis(url=SecretStr(url), prefix="p:"))
    options = dict(app.conf.broker_transport_options)
    kept = {name: options[name] for name in ("global_keyprefix", "master_name", "sentinel_kwargs") if name in options}
    return app.conf.broker_url, kept, app.conf.broker_use_ssl


@pytest.mark.parametrize("url", ["redis://:secret@host:6379/2", "rediss://user:secret@host/0"])
def test_plain_urls_are_used_as_they_are(url: str) -> None:
    assert broker(url) == (url, {"global_keyprefix": "p:"}, None)


def test_a_unix_socket_is_named_as_kombu_names_it() -> None:
    assert broker("unix:///run/valkey.sock?db=3")[0] == "redis+socket:///run/valkey.sock?virtual_host=3"


def test_sentinels_are_listed_as_kombu_lists_them() -> None:
    url, options, ssl = broker("redis+sentinel://:secret@a:26380,b,[::1]:5/main/4?sentinel_password=quiet")
    assert url == "sentinel://:secret@a:26380/4;sentinel://:secret@b:26379/4;sentinel://:secret@[::1]:5/4"
    assert options == {
        "global_keyprefix": "p:",
        "master_name": "main",
        "sentinel_kwargs": {"password": "quiet", "socket_timeout": 2.0},
    }
    assert ssl is None


def test_sentinels_over_tls_and_their_master_are_verified() -> None:
    _, options, ssl = broker("rediss+sentinel://a/main/0")
    assert options["sentinel_kwargs"]["ssl"] is True
    assert ssl == {"ssl_cert_reqs": "required"}


@pytest.mark.parametrize("url", ["http://user:secret@host", "redis+sentinel://a", "redis+sentinel://a/main/x"])
def test_other_urls_are_refused_without_showing_them(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refused:
        broker(url)
    assert "secret" not in str(refused.value)


def test_a_lost_broker_is_asked_every_second_for_ever() -> None:
    app = create_celery(Redis(url=SecretStr("redis://host"), prefix="p:"))
    assert isinstance(app.connection_for_read(), QuickConnection)
    assert app.conf.broker_connection_max_retries is None
    assert PAUSES["interval_max"] <= 1
