"""How many tokens a text has, more or less: no provider is asked, and no tokenizer is loaded.

About four ASCII characters make one token, and other scripts take about one token per character (OpenAI's rule of
thumb, and what its tokenizer o200k gives for Chinese). Good for budgets; what is paid is what the provider counts.
"""

from typing import Final

ASCII_CHARS_PER_TOKEN: Final = 4
MESSAGE_TOKENS: Final = 4
"""What a message costs beside its text."""
IMAGE_TOKENS: Final = 1000
"""What one image is taken for; providers differ by more than a factor of ten."""


def weight_of(text: str) -> int:
    """Return the length of a text in quarters of a token: what many fragments weigh together is their sum."""
    if text.isascii():
        return len(text)
    ascii_chars = len(text.encode("ascii", "ignore"))
    return ascii_chars + ASCII_CHARS_PER_TOKEN * (len(text) - ascii_chars)


def tokens_of(weight: int) -> int:
    """Return about how many tokens texts of this weight have."""
    return -(-weight // ASCII_CHARS_PER_TOKEN)


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has."""
    return tokens_of(weight_of(text))
