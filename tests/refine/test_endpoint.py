"""What comes of a question to an endpoint: an answer or one clear line, in time, and no word of the key."""

from __future__ import annotations

import json
import time
import urllib.request

import numpy as np
import pytest

from wow.refine.endpoint import Endpoint, Prices, data_url, endpoint_from_environment, prices_from_environment
from wow.types import WowError

KEY = "sk-very-secret-0123456789"


def ask(url: str, model: str, **options: object) -> str:
    return Endpoint(url, model, **options)("be brief", "well?").text  # type: ignore[arg-type]


def requests_of(url: str, model: str) -> int:
    with urllib.request.urlopen(f"{url}/requests") as answer:
        return int(json.load(answer)["requests"].get(model, 0))


def test_an_answer_comes_with_its_tokens_and_its_cost(unruly: str) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    reply = Endpoint(unruly, "fine", prices=Prices(read=2.0, written=10.0))("be brief", "well?", [picture, picture])
    assert json.loads(reply.text)["score"] == 4
    assert (reply.read, reply.written, reply.tokens) == (100, 10, 110)
    assert reply.cost == pytest.approx((100 * 2.0 + 10 * 10.0) / 1e6)


def test_an_endpoint_without_a_model_says_which_variable_names_one() -> None:
    with pytest.raises(WowError, match="set WOW_ENDPOINT_MODEL to one"):
        Endpoint("http://127.0.0.1:9", " ")


@pytest.mark.parametrize("model", ["once-500", "once-429"])
def test_what_may_pass_is_asked_again(unruly: str, model: str) -> None:
    began = time.monotonic()
    assert "score" in ask(unruly, model)
    assert requests_of(unruly, model) == 2
    assert time.monotonic() - began >= (0.8 if model == "once-429" else 0.5)  # as the server asked, or by our own pause


def test_a_server_that_knows_no_schema_is_asked_without(unruly: str) -> None:
    assert "score" in Endpoint(unruly, "no-schema")("be brief", "well?", schema={"type": "object"}).text


@pytest.mark.parametrize("model", ["hang", "hang-midway", "drip", "drip-headers"])
def test_an_answer_that_does_not_end_is_cut_in_time(unruly: str, model: str) -> None:
    began = time.monotonic()
    with pytest.raises(WowError, match="did not finish its answer in time"):
        ask(unruly, model, seconds=1.0)
    assert time.monotonic() - began < 2.0


def test_a_wait_longer_than_the_time_left_is_not_waited(unruly: str) -> None:
    began = time.monotonic()
    with pytest.raises(WowError, match=r"429.*slow down"):
        ask(unruly, "always-429", seconds=5.0)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("status-401", r"WOW_API_KEY \(401\)"),
        ("status-404", "no model 'status-404'"),
        ("status-500", "it answered 500"),
        ("moved", "sends elsewhere"),
        ("giant", "more than 1000000 bytes"),
        ("no-completion", "no chat completion"),
        ("nested-http", "no chat completion"),
        ("no-text", "without text"),
        ("no-http", "does not speak HTTP"),
    ],
)
def test_every_refusal_is_one_line_that_says_what_to_do(
    unruly: str, model: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WOW_API_KEY", KEY)
    with pytest.raises(WowError, match=said) as refusal:
        ask(unruly, model, tries=2, max_bytes=1_000_000)
    line = str(refusal.value)
    assert "\n" not in line and len(line) < 500
    assert KEY not in line and KEY not in repr(refusal.value.__cause__)


def test_the_key_is_sent_and_shown_nowhere(unruly: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOW_API_KEY", KEY)
    endpoint = Endpoint(unruly, "fine")
    endpoint("be brief", "well?")
    with urllib.request.urlopen(f"{unruly}/requests") as answer:
        assert f"Bearer {KEY}" in json.load(answer)["keys"]
    assert KEY not in repr(endpoint)


@pytest.mark.parametrize("key", ["sk-with\nnewline", "sk-ünïcode", "two words"])
def test_a_key_that_cannot_be_sent_is_not_repeated(unruly: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOW_API_KEY", key)
    with pytest.raises(WowError, match="holds a character that no key has") as refusal:
        ask(unruly, "fine")
    assert key not in str(refusal.value)


def test_a_key_does_not_travel_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOW_API_KEY", KEY)
    with pytest.raises(WowError, match="not sent unencrypted"):
        ask("http://192.0.2.1:9/v1", "fine", seconds=2.0)


def test_no_server_is_a_clear_line() -> None:
    with pytest.raises(WowError, match="no server is running there"):
        ask("http://127.0.0.1:9/v1", "fine", tries=1)


def test_a_key_that_the_model_repeats_is_not_kept(unruly: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOW_API_KEY", KEY)
    assert ask(unruly, f"rewrite:your key is {KEY}, isn't it") == "your key is ***, isn't it"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/vé", "http://a..b/v1", f"http://{'a' * 64}.example/v1", "http://é/v1"]
)
def test_an_address_that_cannot_be_sent_is_refused_at_once(url: str) -> None:
    with pytest.raises(WowError, match="is no endpoint"):
        Endpoint(url, "fine")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "ftp://host/v1", "http://", "http://host:port/v1", "file:///etc/passwd", "http://a b"]
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(WowError, match="is no endpoint"):
        Endpoint(url, "fine")


@pytest.mark.parametrize("url", ["https://me:secret@host/v1", "https://host/v1?key=secret"])
def test_an_address_with_a_secret_in_it_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(WowError, match="put the key into WOW_API_KEY") as refusal:
        Endpoint(url, "fine")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(("said", "prices"), [("", Prices()), ("0.15, 0.60", Prices(0.15, 0.6))])
def test_prices_come_from_the_environment(said: str, prices: Prices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOW_ENDPOINT", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("WOW_ENDPOINT_MODEL", "fine")
    monkeypatch.setenv("WOW_ENDPOINT_PRICES", said)
    assert endpoint_from_environment().prices == prices


@pytest.mark.parametrize("said", ["1", "1,2,3", "a,b", "-1,2", "nan,1", "inf,1"])
def test_what_is_no_price_is_one_line(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOW_ENDPOINT_PRICES", said)
    with pytest.raises(WowError, match="million tokens cost"):
        prices_from_environment()


def test_pictures_travel_as_jpeg() -> None:
    assert data_url(np.zeros((8, 8, 3), np.uint8)).startswith("data:image/jpeg;base64,/9j/")
