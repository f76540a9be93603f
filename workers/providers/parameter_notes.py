"""What became of the parameters a caller gave on their way to a provider, for people to read. Pure."""

from typing import Final

from shared.domain.events import Noted
from workers.providers.refusal import tidy

DROPPED: Final = "parameter_dropped"
CHANGED: Final = "parameter_changed"
MAX_NAME_CHARS: Final = 60


class Notes:
    """Collects what is to be told about one request: at most one note for each name, and none of its value.

    Nothing is told about `ours`: the names of parameters that no caller gave.
    """

    def __init__(self, provider: str, *, ours: frozenset[str] = frozenset()) -> None:
        self._provider = provider
        self._ours = ours
        self._noted: dict[str, Noted] = {}

    @property
    def told(self) -> tuple[Noted, ...]:
        """The notes, in order."""
        return tuple(self._noted.values())

    def dropped(self, name: str, why: str = "does not take it") -> None:
        """Note that a parameter is not sent; `why` goes on after the provider's name."""
        self._note(DROPPED, name, why)

    def changed(self, name: str, how: str) -> None:
        """Note that a parameter is sent as something else; `how` goes on after the provider's name."""
        self._note(CHANGED, name, how)

    def _note(self, code: str, name: str, words: str) -> None:
        if name not in self._ours:
            shown = tidy(name)[:MAX_NAME_CHARS]
            self._noted.setdefault(name, Noted(code, f"{shown}: {self._provider} {words}"))
