import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.smartsip.parse import UploadQuery, parse_name, parse_upload
from shared.domain.errors import MalformedRequest

PROVIDERS = ("demo", "openai")


def refusal(query: bytes) -> tuple[int, str | None]:
    with pytest.raises(MalformedRequest) as caught:
        parse_upload(query, providers=PROVIDERS)
    return caught.value.status, caught.value.detail


def test_the_firmwares_own_query_is_read():
    query = b"llm_type=ollama&image_name=/image_20241116_141107.jpg&model=llama3.2-vision:90b"
    assert parse_upload(query, providers=PROVIDERS) == UploadQuery(
        image_name="image_20241116_141107.jpg", llm_type="ollama", model="ollama/llama3.2-vision:90b"
    )


@pytest.mark.covers("F000-06")
@pytest.mark.parametrize("query", [b"image_name=a.jpg", b"llm_type=&image_name=a.jpg&model=", b"image_name=%2Fa.jpg"])
def test_what_is_absent_or_empty_is_openais_gpt_4o(query: bytes):
    assert parse_upload(query, providers=PROVIDERS) == UploadQuery(
        image_name="a.jpg", llm_type="openai", model="openai/gpt-4o"
    )


def test_a_provider_that_is_configured_here_may_be_asked_for():
    assert parse_upload(b"image_name=a.jpg&llm_type=demo&model=demo", providers=PROVIDERS).model == "demo/demo"


def test_a_plus_sign_and_slashes_belong_to_the_model():
    query = b"image_name=a.jpg&llm_type=openai&model=acme/vision+/2"
    assert parse_upload(query, providers=PROVIDERS).model == "openai/acme/vision+/2"


@pytest.mark.parametrize("query", [b"", b"llm_type=&image_name=&model=", b"llm_type=openai&model=gpt-4o"])
def test_a_missing_name_is_refused_in_the_old_words(query: bytes):
    assert refusal(query) == (400, "empty image name")


@pytest.mark.parametrize("query", [b"llm_type=bad&image_name=a.jpg", b"llm_type=bad"])
def test_an_unknown_llm_type_is_refused_in_the_old_words(query: bytes):
    assert refusal(query) == (400, "invalid llm type")


@pytest.mark.parametrize("model", [b"a%20b", b"gpt%0a", b"x" * 201, b"%0d%0aSet-Cookie:x", b"%ff%fe\x00"])
def test_a_model_with_spaces_or_of_no_end_is_refused(model: bytes):
    assert refusal(b"image_name=a.jpg&model=" + model) == (400, "invalid model")


@pytest.mark.parametrize(
    "name", ["../a.jpg", "a/b.jpg", "..", ".", "...", "a b.jpg", "ä.jpg", "", "a\n.jpg", "a" * 129, "a%2e.jpg", "a\\b"]
)
def test_a_name_that_could_be_a_path_is_refused(name: str):
    with pytest.raises(MalformedRequest, match="invalid image name"):
        parse_name(name)


@given(st.binary(max_size=300))
def test_any_query_is_read_or_refused(query: bytes):
    try:
        read = parse_upload(query, providers=PROVIDERS)
    except MalformedRequest:
        return
    assert parse_name(read.image_name) == read.image_name
    assert read.model.startswith(f"{read.llm_type}/")
