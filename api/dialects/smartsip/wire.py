"""The fielded firmware's JSON, and nothing else. All values are strings: the page on the device ignores numbers."""

import msgspec


class Command(msgspec.Struct, frozen=True):
    """What the device does: pour `volume` ml at `degree` °C into a `type`."""

    volume: str
    degree: str
    type: str
