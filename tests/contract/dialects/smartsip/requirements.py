"""What the first SmartSip system did for its users, feature by feature, and where this one differs on purpose.

A test says which of these it shows with `@pytest.mark.covers("F000-02")`; `test_requirements.py` holds both sides
against each other. A divergence is a promise too: the tests of its feature show the new behaviour.
"""

from typing import Final

from tests.contract.dialects.requirement import Requirement

SMARTSIP: Final = {
    "F000-01": Requirement("GET / answers 200 `Hello, Sphinx!`", "a browser gets a page"),
    "F000-02": Requirement("a stored photo and an empty POST /smartsip/upload give the control JSON"),
    "F000-03": Requirement(
        "llm_type=openai asks a vision model: photo and prompt, temperature 0, top_p 0.9, a JSON schema",
        "as a stream, with a strict schema, the photo as a data URL",
    ),
    "F000-04": Requirement(
        "llm_type=ollama asks Ollama with the photo in base64", "at /api/chat, as a stream, with the schema in `format`"
    ),
    "F000-05": Requirement("the model can be chosen"),
    "F000-06": Requirement(
        "llm_type=openai and model=gpt-4o where they are left out",
        "also where they are empty, as the document's own example has them",
    ),
    "F000-07": Requirement("image_name names an object in the store; a leading slash is fine"),
    "F000-08": Requirement("no image_name: 400 `error msg: empty image name`"),
    "F000-09": Requirement("an unknown llm_type: 400 `error msg: invalid llm type`", "the old code answered 500"),
    "F000-10": Requirement("an unknown photo: 4xx, and no model is asked", "the old system asked the model anyway"),
    "F000-11": Requirement("photos stay in the object store and can be fetched by a presigned URL for 3600 s"),
    "F000-12": Requirement("the firmware's PUT with AWS signature V2 is accepted"),
    "F000-13": Requirement("another provider needs no change on the device"),
    "F000-14": Requirement("providers are reached through a proxy where one is configured"),
    "F000-15": Requirement(
        "a private object store works with OpenAI", "photos travel inside the request, so no store need be public"
    ),
    "F000-16": Requirement(
        "a further provider can be plugged in", "by configuration: no code for one that speaks OpenAI's"
    ),
    "F000-17": Requirement("MINIO_*, OPENAI_API_KEY and OLLAMA_API_URL configure it"),
    "F000-18": Requirement("host, port (8888) and verbose are options; the start is logged"),
    "F000-19": Requirement("/docs and /openapi.json are there"),
    "F000-20": Requirement("the first byte comes within 5 s also with a slow model, and the JSON still arrives"),
    "F000-21": Requirement("values are strings; what a model makes of them is normalised"),
    "F000-22": Requirement(
        "volume 0 or 10 to 500, degree 0 to 100, for a child at most what is poured at 40 °C or less",
        "29 on this hardware, which would pour 30 to 40 at 50",
    ),
    "F000-23": Requirement("a container that cannot take water: volume 0, the device does nothing"),
    "F000-24": Requirement("no redirect; neither an Authorization header nor a body is needed"),
    "F000-25": Requirement("errors never hold presigned URLs or keys"),
}
