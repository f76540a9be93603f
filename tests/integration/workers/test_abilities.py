"""Whether a model sees photos: by the list of its provider, by its name where that is silent, whatever is away."""

from pydantic import SecretStr

from shared.database.engine import create_engine
from shared.database.queries import Queries
from shared.database.statements.provider_lists import heard
from shared.domain.models import Abilities, ListedModel
from shared.settings import Database, Settings
from workers.services.abilities import has_vision


async def test_a_list_tells_who_sees_photos_by_every_name_of_a_model(settings: Settings) -> None:
    engine = create_engine(settings.database)
    queries = Queries(engine)
    models = [
        ListedModel("org/seer", "Seer", Abilities(vision=True), ("seer-latest",)),
        ListedModel("gpt-4o", "gpt-4o", Abilities(vision=False, context_length=7)),
        ListedModel.named("llava"),
        ListedModel("painter", "painter", Abilities(vision=True, makes=("images",))),
    ]
    await queries.rows(heard("openrouter", models))
    refs = ("org/seer", "seer-latest", "gpt-4o", "llava", "painter", "nobody's", "$name", 'a"b')
    seen = {ref: await has_vision(queries, f"openrouter/{ref}") for ref in refs}
    assert [*seen.values()] == [True, True, False, True, False, None, None, None]
    assert [await has_vision(queries, ref) for ref in ("openai/gpt-4o", "nobody/seer", "seer")] == [True, None, None]
    await engine.dispose()


async def test_with_the_database_away_a_models_name_must_do() -> None:
    engine = create_engine(Database(url=SecretStr("postgresql://127.0.0.1:1/none")))
    assert await has_vision(Queries(engine), "openai/gpt-4o") is True
    await engine.dispose()
