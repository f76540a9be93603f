"""What the tests of the fielded firmware share: settings with its real timers, and a look at what is stored."""

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import func, select

from shared.database.tables import image, image_name, job
from shared.settings import Settings
from tests.firmware import Answer, Device
from tests.integration.api.devices import Registered
from tests.served import Served

NAME = "image_20241116_141107.jpg"
ANSWER = b'{"volume":"200","degree":"80","type":"cup"}'
NOTHING = b'{"volume":"0","degree":"0","type":"none"}'


class Stored(NamedTuple):
    """How many rows there are of everything a device's two requests can leave behind."""

    images: int
    names: int
    jobs: int


NOTHING_STORED = Stored(0, 0, 0)


def firmware_settings(settings: Settings, *, scale: float = 1.0, **changes: object) -> Settings:
    """The server's side of the device's timers as it is in the field; shorter only where a test waits for them."""
    clocks = settings.clocks.model_copy(
        update={
            "firmware_answer": timedelta(seconds=4 * scale),
            "firmware_space": timedelta(seconds=2 * scale),
            "firmware_give_up": timedelta(seconds=15 * scale),
        }
    )
    return settings.model_copy(update={"clocks": clocks, "firmware_access": "open", **changes})


def fielded(api: Served, device: Registered) -> Device:
    """A registered device with the fielded firmware: its token is part of the address, its pair signs its uploads."""
    played = Device(api.url + device.prefix)
    if device.access_key is not None and device.secret_key is not None:
        played.access_key, played.secret_key = device.access_key, device.secret_key
    return played


async def stored(api: Served) -> Stored:
    """Count what is stored, of all owners."""
    counts = [select(func.count()).select_from(table).scalar_subquery() for table in (image, image_name, job)]
    return Stored(*(await api.front.queries.rows(select(*counts)))[0])


def is_refusal(answer: Answer, status: int, line: str) -> bool:
    """Whether a device is refused with this line of plain text, and moves nothing because of it."""
    kind = answer.headers["content-type"]
    told = (answer.status, kind, answer.body.decode(), answer.frames)
    assert told == (status, "text/plain; charset=utf-8", f"error msg: {line}", [])
    return True
