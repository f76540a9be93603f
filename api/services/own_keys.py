"""A provider key that a chat brought: good for the provider of the chat's model, and shown to no other."""

from api.front import Front
from shared.domain.errors import InvalidRequest


def check_own_key(front: Front, model: str, *, chat_model: str | None) -> None:
    """Check that a model may be asked with a chat's own key, which came with `chat_model`.

    The provider need not be configured: that it has a known address is enough.

    Raises:
        InvalidRequest: if its provider is unknown here, or not the one that the key is for.
    """
    provider = model.partition("/")[0]
    reachable = {*front.settings.endpoints, *front.settings.configured_providers}
    if provider not in reachable:
        names = ", ".join(sorted(reachable))
        raise InvalidRequest(f"the provider {provider!r} is not known to this server; known: {names}", field="model")
    if chat_model is not None and provider != (own := chat_model.partition("/")[0]):
        raise InvalidRequest(f"this chat brought a key of {own}, which is not for {provider}", field="model")
