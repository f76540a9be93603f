"""What the mock provider is to say, written in the model's name; and the form of its tokens.

The provider and the load generator agree through this module alone: the name travels through the whole system under
test like any model's name, so nothing else has to be configured.
"""

import re
from typing import Final

import msgspec

TOKEN_CHARS: Final = 24
"""Five digits of position, a dot, seventeen digits of time (three years of nanoseconds), a space."""
_TOKEN: Final = re.compile(r"(\d{5})\.(\d{17}) ")
_TOKENS: Final = re.compile(r"m-(\d{1,5})-(\d{1,6})-(\d{1,6})")
_PHOTO: Final = re.compile(r"photo-(\d{1,6})")

PHOTO_ANSWER: Final = (
    '{"receivable": true, "container": "ceramic cup", "contents": "green tea leaves", "fill_level": 0.1,'
    ' "child_present": false, "confidence": 0.9, "volume": 200, "degree": 80}'
)
"""What every photo is answered: inside the safety envelope, so that it must come out unchanged."""
PHOTO_VOLUME: Final = 200
PHOTO_DEGREE: Final = 80


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """How one request is answered. Token number n (from 0) is due `first_token_ms + n * delay_ms` after the request."""

    tokens: int
    delay_ms: int
    first_token_ms: int
    is_photo: bool = False

    @property
    def duration_s(self) -> float:
        """From the request to the last token, at a provider without costs of its own."""
        return (self.first_token_ms + (self.tokens - 1) * self.delay_ms) / 1000


def read_script(model: str) -> Script | None:
    """Read `m-<tokens>-<delay ms>-<first token ms>` or `photo-<ms>`; None for any other name."""
    if match := _TOKENS.fullmatch(model):
        tokens, delay_ms, first_token_ms = map(int, match.groups())
        return Script(tokens=max(1, tokens), delay_ms=delay_ms, first_token_ms=first_token_ms)
    if match := _PHOTO.fullmatch(model):
        return Script(tokens=1, delay_ms=0, first_token_ms=int(match[1]), is_photo=True)
    return None


def token_text(position: int, sent_ns: int) -> str:
    """Return one token: its position, from 0, and the monotonic time at which it is sent."""
    return f"{position:05}.{sent_ns:017} "


def read_tokens(text: str) -> list[tuple[int, int]] | None:
    """Return position and sending time of each token of a text; None if the text is anything but whole tokens."""
    tokens = [(int(match[1]), int(match[2])) for match in _TOKEN.finditer(text)]
    return tokens if len(tokens) * TOKEN_CHARS == len(text) else None
