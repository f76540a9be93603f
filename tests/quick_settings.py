"""Settings for tests: clocks at a tenth of the real ones, a known administrator's token."""

from datetime import timedelta

from pydantic import SecretStr

from shared.settings import Clocks, Database, Limits, Objects, ProviderEndpoint, Redis, Settings, Worker
from tests.stack import TestStack

ADMIN_TOKEN = "admin-token-of-the-tests"


def settings_for(
    stack: TestStack,
    *,
    database_url: str,
    redis_prefix: str,
    bucket: str,
    providers: dict[str, ProviderEndpoint] | None = None,
) -> Settings:
    """Return settings over any servers; nothing is read from files or the environment."""
    return Settings(
        redis=Redis(url=SecretStr(stack.redis_url), prefix=redis_prefix),
        database=Database(url=SecretStr(database_url)),
        objects=Objects(
            endpoint_url=stack.objects.endpoint_url,
            access_key=SecretStr(stack.objects.access_key),
            secret_key=SecretStr(stack.objects.secret_key),
            bucket=bucket,
        ),
        admin_token=SecretStr(ADMIN_TOKEN),
        master_key=SecretStr("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        providers=providers or {},
        clocks=quick_clocks(),
        limits=Limits(password_rounds=4),
        worker=Worker(slots=50),
        log_format="json",
    )


def quick_clocks() -> Clocks:
    """Return clocks at about a tenth of the defaults, and providers' clocks short enough to wait for."""
    return Clocks(
        lease=timedelta(seconds=1.5),
        renew_every=timedelta(seconds=0.5),
        sweep_every=timedelta(seconds=0.5),
        ring_again_after=timedelta(seconds=3),
        idle_look=timedelta(seconds=0.2),
        heartbeat=timedelta(seconds=1.5),
        drain=timedelta(seconds=2),
        send=timedelta(seconds=1.5),
        provider_connect=timedelta(seconds=1),
        provider_first_delta=timedelta(seconds=2),
        provider_idle=timedelta(seconds=1),
        retry_base=timedelta(seconds=0.1),
        retry_cap=timedelta(seconds=6),
        key_cache=timedelta(seconds=0.5),
        firmware_answer=timedelta(seconds=0.4),
        firmware_space=timedelta(seconds=0.2),
        firmware_give_up=timedelta(seconds=1.5),
    )
