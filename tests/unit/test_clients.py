"""On whose behalf a caller asks: what can be a client's name, and whose quotas it draws on."""

from uuid import UUID

import pytest

from api.services.quotas import Payer
from api.services.submit import Client
from shared.domain.errors import InvalidRequest
from shared.domain.ids import OwnerId


@pytest.mark.parametrize("name", ["1", "kitchen", "tea room/ü 茶", "x" * 200])
def test_a_client_has_a_name(name: str):
    assert Client(name=name).name == name


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\x7f", "\ud800", "x" * 201])
def test_what_cannot_be_stored_is_no_name(name: str):
    with pytest.raises(InvalidRequest) as refused:
        Client(name=name)
    assert refused.value.field == "client"


def test_a_payer_draws_on_the_owners_quota_the_keys_and_the_clients():
    key_id = UUID(int=7)
    assert Payer(owner_id=OwnerId(1)).subjects == ("owner",)
    both = Payer(owner_id=OwnerId(1), key_id=key_id, client="tea")
    assert both.subjects == ("owner", f"key:{key_id}", "client:tea")
