"""The marks that the old system put between the parts of an answer, and kept from its clients. Pure."""

from typing import Final

SPECIAL_TOKENS: Final = ("<start>", "</end>", "<think>", "</think>", "<tool>", "</tool>")
OPENING: Final = "<"
"""Every one of them begins with this, and has it nowhere else."""


class SpecialTokens:
    """Takes one answer in any fragments and gives it back without them, wherever they are cut.

    What is around one that is dropped does not make up another: of `<thi<tool>nk>` nothing is left.
    """

    def __init__(self) -> None:
        self._begun: list[str] = []
        """Beginnings of tokens, each standing within the one before it."""

    def feed(self, text: str) -> str:
        """Return what is certain to be no token of the text so far."""
        said: list[str] = []
        position = 0
        while position < len(text):
            if self._begun:
                said.append(self._take(text[position]))
                position += 1
            else:
                at = text.find(OPENING, position)
                at = len(text) if at < 0 else at
                said.append(text[position:at])
                self._begun += text[at : at + 1]
                position = at + 1
        return "".join(said)

    def end(self) -> str:
        """Return what was kept back: beginnings of tokens that were none."""
        kept, self._begun = "".join(self._begun), []
        return kept

    def _take(self, character: str) -> str:
        """Return what is certain now, with one more character after what may be a token."""
        if character == OPENING:
            self._begun.append(character)
            return ""
        begun = self._begun[-1] + character
        if begun in SPECIAL_TOKENS:
            self._begun.pop()
            return ""
        if any(token.startswith(begun) for token in SPECIAL_TOKENS):
            self._begun[-1] = begun
            return ""
        return self.end() + character


def without_special_tokens(text: str) -> str:
    """Return a whole answer without them."""
    tokens = SpecialTokens()
    return tokens.feed(text) + tokens.end()
