"""Signatures of callbacks, against the published vector of Standard Webhooks."""

from __future__ import annotations

import pytest

from slipstream.settings import Settings, SettingsError, load_settings
from slipstream.tasks.webhook import key_of, signature, signed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""Of the specification's reference libraries, https://github.com/standard-webhooks."""


def test_the_published_vector() -> None:
    assert signature(key_of(SECRET), *MESSAGE) == SIGNATURE


def test_the_headers() -> None:
    other = "whsec_" + "QUFB" * 8
    headers = dict(signed_headers([key_of(SECRET), key_of(other)], *MESSAGE))
    assert list(headers) == ["webhook-id", "webhook-timestamp", "webhook-signature"]
    assert headers["webhook-id"] == MESSAGE[0]
    assert headers["webhook-timestamp"] == "1614265330"
    first, second = headers["webhook-signature"].split()
    assert (first, second) == (SIGNATURE, signature(key_of(other), *MESSAGE))
    assert "webhook-signature" not in dict(signed_headers([], *MESSAGE))


def test_secrets_are_checked_and_never_shown() -> None:
    settings = load_settings(environ={"CALLBACK_SECRET": f"{SECRET}, whsec_{'QUFB' * 8}"})
    assert settings.callback_secret[0] == SECRET
    assert SECRET not in repr(settings)
    assert "callback_secret=(secret)" in repr(settings)
    assert Settings().callback_secret == ()
    for wrong in (SECRET[6:], "whsec_QUFB", "whsec_=", f"{SECRET}!", f"{SECRET},x"):
        with pytest.raises(SettingsError, match="expected secrets") as caught:
            load_settings(environ={"CALLBACK_SECRET": wrong})
        assert wrong not in caught.value.message


def test_hosts_are_checked() -> None:
    hosts = "localhost,10.0.0.1:8080,[::1]:9,::1"
    settings = load_settings(environ={"CALLBACK_ALLOWED_HOSTS": hosts})
    assert settings.callback_allowed_hosts == tuple(hosts.split(","))
    for wrong in ("http://localhost", "a b", "10.0.0.0/8", "*.example.com"):
        with pytest.raises(SettingsError, match="CALLBACK_ALLOWED_HOSTS"):
            load_settings(environ={"CALLBACK_ALLOWED_HOSTS": wrong})
