"""A touch is one device's, about one photo of its owner, for one model."""

from dataclasses import replace

import pytest

from api.auth import ADMINISTRATOR, Caller
from api.scopes import Scope
from api.services.images import store_image
from api.services.touches import touch_key
from shared.domain.errors import NotFound
from shared.domain.ids import OwnerId, uuid7
from shared.settings import Settings
from tests.images import photo
from tests.integration.api.devices import Registered, new_device
from tests.served import Served, served


async def caller_as(api: Served, registered: Registered) -> Caller:
    device = await api.front.devices.calling(registered.token)
    assert device is not None
    return Caller(
        owner_id=device.owner_id,
        owner_name=device.owner_name,
        name=device.name,
        scopes=frozenset({Scope.DEVICE}),
        device=device,
    )


async def test_each_device_photo_and_model_has_touches_of_its_own(settings: Settings):
    async with served(settings) as api:
        front = api.front
        image, other = [(await store_image(front, OwnerId(1), photo(seed=seed))).id for seed in (1, 2)]
        callers = [ADMINISTRATOR, *[await caller_as(api, await new_device(api)) for _ in range(2)]]
        asked = [
            (caller, photo_id, model) for caller in callers for photo_id in (image, other) for model in ("", "a/b")
        ]
        first = [await touch_key(front, caller, photo_id, asked=model) for caller, photo_id, model in asked]
        again = [await touch_key(front, caller, photo_id, asked=model) for caller, photo_id, model in asked]
        assert first == again
        assert len(set(first)) == len(asked)


async def test_a_photo_of_another_owner_cannot_be_touched(settings: Settings):
    async with served(settings) as api:
        registered = await new_device(api, owner_name="boris")
        image = await store_image(api.front, OwnerId(1), photo())
        boris = await caller_as(api, registered)
        for caller, image_id in ((boris, image.id), (replace(boris, device=None), image.id), (ADMINISTRATOR, uuid7())):
            with pytest.raises(NotFound):
                await touch_key(api.front, caller, image_id)
