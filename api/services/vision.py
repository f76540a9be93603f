"""From what was asked about a photo to what its runner needs: profile and prompt looked up, defaults filled in.

What a request leaves out the device says, or its profile, or the server. A name that leads nowhere is refused and never
filled in: what stands in its place could allow more than its owner meant to allow.
"""

from api.auth import Caller
from api.front import Front
from api.services.profiles import MAX_NAMED
from shared.domain.commands import VisionInput, VisionTask
from shared.domain.dispense import (
    BUILT_IN_PROMPTS,
    DEFAULT_PROFILE,
    DEFAULT_PROMPT,
    INLINE,
    PROFILES,
    DeviceProfile,
    StoredPrompt,
)
from shared.domain.errors import Conflict, InvalidRequest


async def resolve_vision(front: Front, caller: Caller, asked: VisionInput) -> VisionTask:
    """Return the task, whole, so that its worker needs to look up nothing of the owner's.

    Raises:
        InvalidRequest: if there is no profile or prompt as the request names; `field` says which.
        Conflict: if there is none as the device or its profile names.
    """
    profile = await _profile(front, caller, asked)
    envelope = None if profile.name in PROFILES else profile
    if asked.prompt_text is not None:
        return VisionTask(
            image=asked.image,
            prompt=INLINE,
            prompt_text=asked.prompt_text,
            profile=profile.name,
            envelope=envelope,
        )
    prompt = await _prompt(front, caller, asked, profile)
    is_built_in = prompt.ref in BUILT_IN_PROMPTS
    return VisionTask(
        image=asked.image,
        prompt=prompt.ref,
        prompt_text=None if is_built_in else prompt.text,
        form=prompt.form,
        profile=profile.name,
        envelope=envelope,
    )


def default_model(front: Front, task: VisionTask) -> str:
    """Return who is asked about a photo where neither the request nor the device says.

    Raises:
        Conflict: if the profile names a model of a provider that is not configured (any more).
    """
    model = task.envelope.model if task.envelope else None
    if model is None:
        return front.settings.default_model
    if model.partition("/")[0] in front.settings.configured_providers:
        return model
    raise Conflict(
        f"The model {model} of the profile {task.profile} is of a provider that is not configured on this server: give"
        " the profile another one."
    )


async def _profile(front: Front, caller: Caller, asked: VisionInput) -> DeviceProfile:
    of_device = caller.device.profile if caller.device else None
    name = asked.profile or of_device or DEFAULT_PROFILE
    profile = await front.profiles.find(caller.owner_id, name)
    if profile is not None:
        return profile
    if asked.profile:
        known = [one.profile.name for one in await front.profiles.every(caller.owner_id)]
        raise InvalidRequest(f"there is no profile {name}; there are: {_listed(known)}", field="input.profile")
    raise Conflict(f"The profile {name} of this device does not exist any more: give the device another one.")


async def _prompt(front: Front, caller: Caller, asked: VisionInput, profile: DeviceProfile) -> StoredPrompt:
    of_device = caller.device.prompt if caller.device else None
    ref = asked.prompt or of_device or profile.prompt or DEFAULT_PROMPT
    prompt = await front.prompts.find(caller.owner_id, ref)
    if prompt is not None:
        return prompt
    if asked.prompt:
        known = [one.prompt.name for one in await front.prompts.newest(caller.owner_id)]
        raise InvalidRequest(f"there is no prompt {ref}; there are: {_listed(known)}", field="input.prompt")
    user = "this device" if of_device else f"the profile {profile.name}"
    raise Conflict(f"The prompt {ref} of {user} does not exist any more: give it another one.")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (" and more" if len(names) > MAX_NAMED else "")
