"""Where a reader wants to begin, as it says so in a header, a parameter or a message."""

from shared.domain.errors import InvalidRequest
from shared.domain.events import START, Cursor


def cursor_from(text: str | None, *, field: str = "after") -> Cursor:
    """Return the place after which a reader wants events; the beginning if it does not say.

    Raises:
        InvalidRequest: if it is not a cursor.
    """
    if not text:
        return START
    try:
        return Cursor.parse(text)
    except ValueError as error:
        raise InvalidRequest(str(error), field=field) from error
