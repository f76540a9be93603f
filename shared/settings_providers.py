"""Settings of the providers: where each is, how to get in, and which of them are usable with what was set."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

from shared.providers_known import DEMO, KNOWN, about
from shared.settings_groups import Clocks, SettingsGroup
from shared.settings_sources import checked_url, is_near, with_scheme

Url = Annotated[str, AfterValidator(checked_url)]
Address = Annotated[Url, BeforeValidator(with_scheme)]
"""A URL whose `http://` may be left out."""
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
HeaderText = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{0,500}$")]


PerMinute: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000_000)]


class ProviderLimits(SettingsGroup):
    """What all workers together ask of one provider at most, with each key; what is not set is not limited."""

    concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Calls at a time."""
    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    """In and out together: estimated before a call, and counted after it."""
    batch_share: float = Field(default=0.5, gt=0, le=1)
    """The part of each of these that batches may use; at least one call at a time, or a minute."""

    def for_batches(self) -> "ProviderLimits":
        """Return what batches may use of it."""
        shares = {
            name: None if limit is None else max(1, int(limit * self.batch_share))
            for name, limit in (
                ("concurrency", self.concurrency),
                ("requests_per_minute", self.requests_per_minute),
                ("tokens_per_minute", self.tokens_per_minute),
            )
        }
        return self.model_copy(update=shares)

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing is limited."""
        return self.concurrency is None and self.requests_per_minute is None and self.tokens_per_minute is None


class ProviderEndpoint(SettingsGroup):
    """Where a provider is and how to get in. A provider without an endpoint here is not configured."""

    base_url: Url
    api_key: SecretStr | None = None
    proxy: Address | None = Field(default=None, repr=False)
    """May hold a password, hence not shown."""
    headers: dict[HeaderName, HeaderText] = Field(default_factory=dict[str, str], repr=False)
    """Sent with every request, as OpenRouter's `HTTP-Referer` and `X-Title`."""
    limits: ProviderLimits = ProviderLimits()

    @property
    def has_key(self) -> bool:
        """Whether there is a key that is more than an empty text."""
        return self.api_key is not None and bool(self.api_key.get_secret_value())


def configured(endpoints: Mapping[str, ProviderEndpoint]) -> tuple[str, ...]:
    """Return the names of the providers that can be called with what was set, sorted; `demo` always can."""
    usable = {
        name
        for name, endpoint in endpoints.items()
        if about(name).is_configured(endpoint.base_url, has_key=endpoint.has_key)
    }
    return tuple(sorted({*usable, DEMO}))


def with_known(endpoints: Mapping[str, ProviderEndpoint], proxy: str | None) -> dict[str, ProviderEndpoint]:
    """Add the known providers that nothing was set for: without a key, for callers who bring one."""
    known = {
        name: ProviderEndpoint(base_url=provider.base_url, proxy=proxy)
        for name, provider in KNOWN.items()
        if provider.base_url is not None and name != DEMO
    }
    return {**known, **endpoints}


def with_proxy(endpoints: Mapping[str, ProviderEndpoint], proxy: str) -> dict[str, ProviderEndpoint]:
    """Return endpoints that are reached through a proxy, but for those that have their own or need none."""
    return {
        name: endpoint
        if endpoint.proxy or name == "ollama" or is_near(endpoint.base_url)
        else endpoint.model_copy(update={"proxy": proxy})
        for name, endpoint in endpoints.items()
    }


def with_longer_waits(clocks: Clocks, timeout: timedelta) -> Clocks:
    """Return clocks that wait for a provider at least so long, where they were not set themselves."""
    waits = {"provider_first_delta": clocks.provider_first_delta, "provider_idle": clocks.provider_idle}
    longer = {name: timeout for name, wait in waits.items() if name not in clocks.model_fields_set and timeout > wait}
    # Not as if they were set: who needs still longer (`workers.providers.clocks`) gets it.
    return Clocks.model_construct(_fields_set=set(clocks.model_fields_set), **(dict(clocks) | longer))
