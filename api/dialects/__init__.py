"""The foreign surfaces this server speaks. Adding one is a folder here and a row in this table."""

from typing import Final

from api.dialect import Dialect
from api.dialects.smartsip import SMARTSIP

DIALECTS: Final[tuple[Dialect, ...]] = (SMARTSIP,)
