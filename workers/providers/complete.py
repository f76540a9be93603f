"""The law of a provider's stream: in time, whole, and ended by one usage and one finish, or by one error."""

from collections.abc import AsyncGenerator
from typing import Final

import structlog

from shared.domain.errors import ProviderTimeout, ProviderUnreachable, StreamIncomplete
from shared.domain.events import Delta, Finish, Usage
from workers.providers.base import Clocks
from workers.providers.clocks import Watchdog

TRAILER_S: Final = 2.0
"""How long usage may come after the answer said that it is finished; it is in the next packet, or never comes."""
logger = structlog.get_logger(__name__)


async def complete(
    source: AsyncGenerator[Delta, None], clocks: Clocks, *, provider: str
) -> AsyncGenerator[Delta, None]:
    """Yield what an adapter translates, under the clocks, with the last `Usage` and then `Finish` at its end.

    An adapter yields in the order of the wire, any number of each. Once the finish was seen the answer is whole: what
    breaks afterwards costs the usage, not the answer.

    Raises:
        StreamIncomplete: if the source ends without a finish.
    """
    watchdog = Watchdog(provider)
    usage: Usage | None = None
    finish: Finish | None = None
    clock, allowed_s = "first_delta", clocks.first_delta_s
    try:
        while True:
            delta = await watchdog.next(source, clock, allowed_s)
            if isinstance(delta, Usage):
                usage = delta
            elif isinstance(delta, Finish):
                finish = delta
                clock, allowed_s = "idle", min(TRAILER_S, clocks.idle_s)
            else:
                yield delta
                if finish is None:
                    clock, allowed_s = "idle", clocks.idle_s
    except StopAsyncIteration:
        pass
    except (ProviderTimeout, ProviderUnreachable, StreamIncomplete) as error:
        if finish is None:
            raise
        logger.info("provider_broke_after_its_finish", provider=provider, error=str(error))
    finally:
        watchdog.stop()
        await source.aclose()
    if finish is None:
        raise StreamIncomplete(f"{provider} ended its answer without saying that it was complete")
    if usage is not None:
        yield usage
    yield finish
