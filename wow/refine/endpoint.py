"""A model behind an OpenAI-compatible endpoint (`/v1/chat/completions`): vLLM, Ollama, llama.cpp, or a hosted one.

Nothing but the standard library: so that every limit (time in all, size, number of tries) is ours to keep.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import numpy as np
from PIL import Image

from wow.refine.transport import Refused, Response, post
from wow.refine.untrusted import one_line
from wow.types import UInt8, WowError

KEY_VARIABLE = "WOW_API_KEY"
"""The environment variable that holds the key of the endpoint, where it wants one."""
URL_VARIABLE, MODEL_VARIABLE, SECONDS_VARIABLE = "WOW_ENDPOINT", "WOW_ENDPOINT_MODEL", "WOW_ENDPOINT_SECONDS"
"""Where the command line finds the address, the model, and how many seconds a question may take."""
PRICES_VARIABLE = "WOW_ENDPOINT_PRICES"
"""Where it finds what a million tokens cost, those that are read and those that are written: "0.15,0.60"."""
INSTEAD = "or judge without it: --critic checks"
"""What a person can always do."""
FIRST_PAUSE = 0.5
"""Seconds before the first further try; each later pause is twice as long, unless the server names one."""
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""Answers after which the same request may succeed."""


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in any currency: those that are read, and those that are written."""

    read: float = 0.0
    written: float = 0.0

    @property
    def are_known(self) -> bool:
        """Whether anything costs something."""
        return self.read > 0 or self.written > 0


@dataclass(frozen=True)
class Reply:
    """What a model said. read, written: tokens, 0 where the server does not count. cost: by the endpoint's prices."""

    text: str
    read: int = 0
    written: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.read + self.written


@dataclass(frozen=True)
class Endpoint:
    """A model that is asked over HTTP.

    url: up to and with `/v1`. seconds: the most that one question may take, further tries and pauses included.
    tries: how often a request is sent at most. max_bytes: of an answer. key_variable: names the environment variable
    of the key; the key itself is read when it is sent and kept nowhere. temperature: 0 for the most likely answer.
    """

    url: str
    model: str
    seconds: float = 60.0
    tries: int = 4
    max_bytes: int = 1 << 20
    key_variable: str = KEY_VARIABLE
    temperature: float = 0.0
    prices: Prices = Prices()

    def __post_init__(self) -> None:
        _address(self.url)
        if not self.model.strip():
            raise WowError(f"the endpoint needs a model: set {MODEL_VARIABLE} to one that it serves")
        if not (0 < self.seconds < math.inf and self.tries >= 1 and self.max_bytes >= 1):
            raise WowError("an endpoint's seconds, tries and bytes are positive numbers")

    def __call__(
        self,
        system: str,
        text: str,
        pictures: Sequence[UInt8] = (),
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = 400,
        seconds: float | None = None,
    ) -> Reply:
        """The model's answer. pictures: uint8 [H, W, 3]. schema: of the JSON that the answer shall be.

        seconds: what is left of the caller's time, where that is less than the endpoint's own limit. Raises WowError
        where no answer comes in time, or none ever will.
        """
        deadline = time.monotonic() + min(self.seconds, math.inf if seconds is None else seconds)
        body = self._body(system, text, pictures, schema, max_tokens)
        response = self._answered(body, deadline)
        if response.status in (400, 422) and schema is not None and b"response_format" in response.body:
            # An older server: the prompt describes the schema in words too.
            response = self._answered({key: value for key, value in body.items() if key != "response_format"}, deadline)
        if response.status != 200:
            raise WowError(self._refusal(response))
        return self._reply(response)

    # ---- asking ----

    def _body(
        self,
        system: str,
        text: str,
        pictures: Sequence[UInt8],
        schema: Mapping[str, object] | None,
        max_tokens: int,
    ) -> dict[str, object]:
        shown = [{"type": "image_url", "image_url": {"url": data_url(picture)}} for picture in pictures]
        content: object = [*shown, {"type": "text", "text": text}] if shown else text
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "temperature": self.temperature,
            "stream": False,
        }
        if schema is not None:
            named = {"name": "answer", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def _answered(self, body: Mapping[str, object], deadline: float) -> Response:
        """The first response that asking again would not change. Raises WowError when tries or time are used up."""
        address, sent = _address(self.url), json.dumps(body).encode()
        why = "it did not answer"
        for number in range(self.tries):
            pause = FIRST_PAUSE * 2**number
            try:
                response = post(address, "/chat/completions", sent, self._headers(), deadline, self.max_bytes)
            except Refused as problem:
                if not problem.again:
                    raise WowError(f"the endpoint {self.url} {problem}; check {URL_VARIABLE}, {INSTEAD}") from None
                why = str(problem)
            else:
                if response.status not in AGAIN:
                    return response
                why = f"it answered {response.status}{self._said(response)}"
                pause = _wanted_pause(response, pause)
            if number + 1 < self.tries and time.monotonic() + pause >= deadline:
                break
            if number + 1 < self.tries:
                time.sleep(pause)
        raise WowError(
            f"the endpoint {self.url} gave no answer within {self.seconds:g} s and {self.tries} tries ({why}); start "
            f"it, give it more time, {INSTEAD}"
        )

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            return {}
        if not key.isascii() or not key.isprintable() or " " in key:
            raise WowError(f"the key in {self.key_variable} holds a character that no key has: set it again")
        address = _address(self.url)
        if address.scheme != "https" and not _is_here(address):
            raise WowError(
                f"the key in {self.key_variable} is not sent unencrypted to {address.hostname}: use https, or unset it"
            )
        return {"Authorization": f"Bearer {key}"}

    # ---- understanding ----

    def _reply(self, response: Response) -> Reply:
        try:
            found = json.loads(response.body)
            content = found["choices"][0]["message"]["content"]
            usage = found.get("usage") or {}
            read, written = (_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            raise WowError(
                f"the endpoint {self.url} answered with what is no chat completion{self._said(response)}; its address "
                f"ends in /v1 most of the time, {INSTEAD}"
            ) from None
        if not isinstance(content, str):
            raise WowError(f"the endpoint {self.url} answered without text; name a chat model, {INSTEAD}")
        cost = (read * self.prices.read + written * self.prices.written) / 1e6
        return Reply(self._without_key(content), read, written, cost)

    def _refusal(self, response: Response) -> str:
        said = self._said(response)
        if response.status in (401, 403):
            has = "refused the key in" if os.environ.get(self.key_variable) else "wants a key, and there is none in"
            return f"the endpoint {self.url} {has} {self.key_variable} ({response.status}){said}: set it, {INSTEAD}"
        if response.status == 404:
            return f"the endpoint {self.url} knows no model {self.model!r}, or no such address (404){said}: check both"
        if 300 <= response.status < 400:
            return (
                f"the endpoint {self.url} sends elsewhere ({response.status}), which is not followed: name the address"
            )
        return (
            f"the endpoint {self.url} refused the request ({response.status}){said}; check the model's name, {INSTEAD}"
        )

    def _said(self, response: Response) -> str:
        """What the server says, in few words, without the key that some repeat."""
        text = response.body[:4000].decode("utf-8", "replace")
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            text = str(json.loads(response.body)["error"]["message"])
        line = one_line(self._without_key(text), 120)
        return f", saying {line!r}" if line else ""

    def _without_key(self, text: str) -> str:
        """A text from elsewhere, in which the key may be repeated."""
        key = os.environ.get(self.key_variable, "").strip()
        return text.replace(key, "***") if key else text


def endpoint_from_environment() -> Endpoint:
    """The endpoint that the environment names. Raises WowError where it names none."""
    url, model, seconds = (os.environ.get(name, "") for name in (URL_VARIABLE, MODEL_VARIABLE, SECONDS_VARIABLE))
    if not url:
        raise WowError(
            f"there is no endpoint to ask: set {URL_VARIABLE} (e.g. http://127.0.0.1:8000/v1), {MODEL_VARIABLE} and, "
            f"where it wants one, {KEY_VARIABLE}, {INSTEAD}"
        )
    try:
        limit = float(seconds or 60)
    except ValueError:
        raise WowError(f"{SECONDS_VARIABLE} is a number of seconds, not {one_line(seconds, 20)!r}") from None
    return Endpoint(url, model, seconds=limit, prices=prices_from_environment())


def prices_from_environment() -> Prices:
    """What the environment says that tokens cost, nothing unless it does. Raises WowError for what is no price."""
    said = os.environ.get(PRICES_VARIABLE, "").strip()
    if not said:
        return Prices()
    try:
        read, written = (float(word) for word in said.split(","))
        if not (0 <= read < math.inf and 0 <= written < math.inf):
            raise ValueError
    except ValueError:
        raise WowError(
            f"{PRICES_VARIABLE} is what a million tokens cost, read and written, e.g. 0.15,0.60, not "
            f"{one_line(said, 40)!r}"
        ) from None
    return Prices(read, written)


def data_url(picture: UInt8) -> str:
    """A picture [H, W, 3] as a JPEG inside an address."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _address(url: str) -> SplitResult:
    """The parts of an endpoint's address. Raises WowError where it is none, or where it holds what is secret."""
    try:
        address = urlsplit(url)
        port_is_number = address.port is None or address.port > 0
    except ValueError:
        address, port_is_number = urlsplit(""), False
    # What is not ASCII has to be written otherwise in a request; parts of a machine's name have 1 to 63 letters.
    is_name = all(0 < len(part) < 64 for part in (address.hostname or "").removesuffix(".").split("."))
    if address.username or address.password or address.query or address.fragment:
        raise WowError(f"an endpoint's address holds no name, password or question: put the key into {KEY_VARIABLE}")
    known = address.scheme in ("http", "https") and address.hostname and port_is_number
    if not known or not is_name or not url.isascii() or not url.isprintable() or " " in url:
        raise WowError(f"{one_line(url, 80)!r} is no endpoint: name one like http://127.0.0.1:8000/v1")
    return address


def _is_here(address: SplitResult) -> bool:
    return address.hostname in ("localhost", "127.0.0.1", "::1")


def _wanted_pause(response: Response, otherwise: float) -> float:
    """Seconds until the server wants to be asked again; never less than 0."""
    try:
        wanted = float(response.retry_after)
    except ValueError:
        return otherwise
    return max(wanted, 0.0) if math.isfinite(wanted) else otherwise


def _count(value: object) -> int:
    """A number of tokens that a server claims; 0 for what is none."""
    return value if type(value) is int and 0 <= value < 10**9 else 0
