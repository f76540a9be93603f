"""What providers offer: the models they list, as workers hear of them and the front shows them."""

from typing import Final

import msgspec

REFRESH_MODELS: Final = "smartsip.refresh_models"
"""Name of the Celery task that asks one provider for its models; its argument is the provider's name."""


class ListedModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model. `id` is the provider's own name for it, `name` what people call it, the length is in tokens."""

    id: str
    name: str
    context_length: int | None = None
