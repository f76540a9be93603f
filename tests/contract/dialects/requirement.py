"""One feature of an older system, as each system's manifest lists them."""

from typing import NamedTuple


class Requirement(NamedTuple):
    """One feature, in the words of its users; `divergence` is what is different here, and why.

    A feature with a `decision` is not there, and the decision says why, or where it will be; it needs no test.
    """

    feature: str
    divergence: str = ""
    decision: str = ""
