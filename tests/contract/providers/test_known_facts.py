"""What the front tells of providers is what the workers do: the facts stand in two places, and are the same."""

from pydantic import SecretStr

from shared.providers_known import KNOWN, KnownProvider, about
from shared.settings import ProviderEndpoint
from workers.providers.base import Provider
from workers.providers.studio.table import KINDS
from workers.providers.table import ROWS, build_providers, row_of


def of_worker(provider: Provider) -> tuple[str, frozenset[str]]:
    return provider.stops_billing_on_abort, provider.media


def of_front(known: KnownProvider) -> tuple[str, frozenset[str]]:
    return known.stops_billing_on_abort, frozenset(known.media)


async def test_who_stops_billing_and_takes_which_media_is_told_as_it_is() -> None:
    endpoint = ProviderEndpoint(base_url="http://127.0.0.1:1/v1", api_key=SecretStr("none"))
    providers = build_providers(dict.fromkeys((*KNOWN, "elsewhere"), endpoint))
    assert {name: of_front(about(name)) for name in providers} == {
        name: of_worker(provider) for name, provider in providers.items()
    }
    for provider in providers.values():
        await provider.close()


def test_how_json_is_asked_for_and_whether_there_is_a_list_is_told_as_it_is() -> None:
    names = (*(row.name for row in ROWS), "elsewhere")
    assert {name: (about(name).schema_mode, about(name).has_list) for name in names} == {
        name: (row_of(name).schema_mode, row_of(name).listing is not None) for name in names
    }


def test_who_has_a_studio_is_told_to_make_more_than_answers() -> None:
    assert {name for name in KINDS if about(name).makes == ("answer",)} == set()
