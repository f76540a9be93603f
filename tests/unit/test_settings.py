"""Settings: where they come from, which source wins, and what is said when they are wrong."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.settings
from shared.domain.dispense import DeviceProfile, TemperatureBand
from shared.providers_known import KNOWN
from shared.settings import Clocks, ProviderEndpoint, Settings, SettingsError, load_settings
from shared.settings_dialects import Dialects
from shared.settings_providers import ProviderLimits
from shared.settings_sources import from_yaml, normalise_ollama_url

MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
REQUIRED = {
    "REDIS_URL": "redis://:redis-secret@localhost:6379/0",
    "DATABASE_URL": "postgresql://app:database-secret@localhost/smartsip",
    "MINIO_ENDPOINT_URL": "http://localhost:9000",
    "MINIO_ACCESS_KEY": "access",
    "MINIO_SECRET_KEY": "secret",
    "SMARTSIP_ADMIN_TOKEN": "an-administrators-token",
    "SMARTSIP_MASTER_KEY": MASTER_KEY,
}
CONFIG_OF_LLM_BACKEND_API = """
server:
  port: "8080"
redis:
  address: "localhost:6379"
  password: "p@ss/word"
  db: 3
sqlite:
  path: "./llm_backend.db"
  max_open_conns: 10
jwt:
  secret: "a-secret-of-32-bytes-nobody-has-seen"
"""


class Surroundings:
    """An environment and a working directory made for one test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self._monkeypatch = monkeypatch
        self.directory = directory
        monkeypatch.chdir(directory)

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def unset(self, *names: str) -> None:
        for name in names:
            self._monkeypatch.delenv(name)

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text, encoding="utf-8")

    def problems(self) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            load_settings()
        return str(caught.value).splitlines()


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Surroundings:
    surroundings = Surroundings(monkeypatch, tmp_path)
    surroundings.set(**REQUIRED)
    return surroundings


def providers(settings: Settings) -> dict[str, tuple[str, str | None, str | None]]:
    """Return base URL, key and proxy of every provider."""
    return {name: _endpoint(endpoint) for name, endpoint in settings.providers.items()}


def _endpoint(endpoint: ProviderEndpoint) -> tuple[str, str | None, str | None]:
    key = None if endpoint.api_key is None else endpoint.api_key.get_secret_value()
    return endpoint.base_url, key, endpoint.proxy


@pytest.mark.usefixtures("around")
def test_the_required_names_are_enough() -> None:
    settings = load_settings()
    assert (settings.configured_providers, settings.default_model, settings.port) == (("demo",), "demo/demo", 8888)
    assert settings.redis.url.get_secret_value() == REQUIRED["REDIS_URL"]
    assert settings.database.sqlalchemy_url == "postgresql+psycopg://app:database-secret@localhost/smartsip"
    assert settings.objects.endpoint_url == "http://localhost:9000"


def test_every_missing_setting_is_named_in_a_sentence_of_its_own(around: Surroundings) -> None:
    around.unset(*REQUIRED)
    problems = around.problems()
    assert [problem.partition(" is not set: ")[0] for problem in problems] == sorted(REQUIRED)


def test_an_empty_variable_counts_as_unset(around: Surroundings) -> None:
    around.set(REDIS_URL="", OPENAI_API_KEY="", SMARTSIP_PORT="")
    assert around.problems() == [
        "REDIS_URL is not set: it says where Redis is, as in redis://:password@host:6379/0.",
    ]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DATABASE_URL", "sqlite:///./chat_history.db", "DATABASE_URL names SQLite, which several processes cannot"),
        ("DATABASE_URL", "mysql://root:hunter2@db/app", "DATABASE_URL must begin with postgresql://"),
        ("REDIS_URL", "http://:hunter2@localhost", "REDIS_URL must begin with redis:// or rediss://"),
        ("MINIO_ENDPOINT_URL", "ftp://hunter2", "MINIO_ENDPOINT_URL is not valid: must be a URL that begins with http"),
        ("OPENAI_BASE_URL", "hunter2", "OPENAI_BASE_URL is not valid: must be a URL that begins with http"),
        ("HTTP_PROXY", "socks5://user:hunter2@proxy", "HTTP_PROXY is not valid: must be a URL that begins with http"),
        ("SMARTSIP_ADMIN_TOKEN", "hunter2", "SMARTSIP_ADMIN_TOKEN needs at least 16 ASCII characters"),
        ("SMARTSIP_MASTER_KEY", "hunter2", "SMARTSIP_MASTER_KEY must be 32 random bytes in base64"),
        ("SMARTSIP_DEFAULT_MODEL", "hunter2", "SMARTSIP_DEFAULT_MODEL must be provider/model"),
        ("SMARTSIP_PORT", "hunter2", "SMARTSIP_PORT is not valid: "),
        ("SMARTSIP_PORT", "70000", "SMARTSIP_PORT is not valid: "),
        ("SMARTSIP_CLOCKS__LEASE", "-3", "SMARTSIP_CLOCKS__LEASE is not valid: "),
        ("SMARTSIP_CLOCKS__LEASE", "3", "SMARTSIP_CLOCKS__RENEW_EVERY must be shorter than SMARTSIP_CLOCKS__LEASE"),
        ("SMARTSIP_CLOCKS__LEESE", "hunter2", "There is no setting SMARTSIP_CLOCKS__LEESE"),
        ("SMARTSIP_PROVIDERS", "{hunter2", "SMARTSIP_PROVIDERS cannot be read: "),
        ("SMARTSIP_DEVICE_BUCKETS", "hunter2", "SMARTSIP_DEVICE_BUCKETS must be bucket=owner pairs with commas, as in"),
        ("SMARTSIP_DEVICE_BUCKETS", "test=", "SMARTSIP_DEVICE_BUCKETS must be bucket=owner pairs with commas, as in"),
        ("SMARTSIP_DEVICE_BUCKETS", "lab=a,lab=b", "SMARTSIP_DEVICE_BUCKETS gives a bucket twice: each has one owner"),
        ("SMARTSIP_DEVICE_BUCKETS", "Hunter2=a", "SMARTSIP_DEVICE_BUCKETS has a name that no bucket can have: "),
        ("SMARTSIP_DEVICE_BUCKETS", "lab=hunter2/..", "SMARTSIP_DEVICE_BUCKETS has a name that no owner can have: "),
        ("SMARTSIP_DEVICE_BUCKETS", "smartsip=anna", "SMARTSIP_DEVICE_BUCKETS names the bucket in which this server"),
        ("SMARTSIP_TRUSTED_PROXIES", "hunter2", "SMARTSIP_TRUSTED_PROXIES__0 is not valid: value is not a valid IPv4"),
        ("SMARTSIP_PROFILES", "hunter2", "SMARTSIP_PROFILES cannot be read: "),
        ("PROVIDER_TIMEOUT", "hunter2", "PROVIDER_TIMEOUT is not valid: "),
        ("PROVIDER_TIMEOUT", "0", "PROVIDER_TIMEOUT is not valid: "),
        ("DEEPSEEK_BASE_URL", "hunter2", "DEEPSEEK_BASE_URL is not valid: must be a URL that begins with http"),
        ("SMARTSIP_FIRMWARE_ACCESS", "hunter2", "SMARTSIP_FIRMWARE_ACCESS is not valid: "),
    ],
)
def test_a_wrong_value_is_one_sentence_that_never_shows_it(
    around: Surroundings, name: str, value: str, problem: str
) -> None:
    around.set(**{name: value})
    [told] = around.problems()
    assert told.startswith(problem)
    assert told.endswith(".")
    assert "hunter2" not in told


def test_a_default_model_of_an_unconfigured_provider_is_refused_with_what_to_do(around: Surroundings) -> None:
    around.set(SMARTSIP_DEFAULT_MODEL="openai/gpt-4o-mini", OLLAMA_API_URL="localhost:11434")
    assert around.problems() == [
        "SMARTSIP_DEFAULT_MODEL names the provider 'openai', which is not configured (configured: demo, ollama):"
        " set OPENAI_API_KEY.",
    ]


@pytest.mark.covers("F000-17")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OPENAI_API_KEY": "sk-1"}, {"openai": ("https://api.openai.com/v1", "sk-1", None)}),
        ({"ARK_API_KEY": "ark"}, {"doubao": ("https://ark.cn-beijing.volces.com/api/v3", "ark", None)}),
        ({"XAI_API_KEY": "old", "GROK_API_KEY": "new"}, {"grok": ("https://api.x.ai/v1", "new", None)}),
        ({"OPENAI_BASE_URL": "http://llm:8000/v1/"}, {"openai": ("http://llm:8000/v1", None, None)}),
        ({"OLLAMA_API_URL": "http://o:11434/api/generate"}, {"ollama": ("http://o:11434", None, None)}),
        (
            {"OPENAI_API_KEY": "sk-1", "OLLAMA_API_URL": "http://ollama.example.com", "HTTP_PROXY": "127.0.0.1:7890"},
            {
                "openai": ("https://api.openai.com/v1", "sk-1", "http://127.0.0.1:7890"),
                "ollama": ("http://ollama.example.com", None, None),
            },
        ),
        (
            {"OPENAI_BASE_URL": "http://127.0.0.1:8000/v1", "HTTP_PROXY": "http://proxy:3128"},
            {"openai": ("http://127.0.0.1:8000/v1", None, None)},
        ),
        (
            {
                "OPENAI_API_KEY": "sk-old",
                "SMARTSIP_PROVIDERS__OPENAI__API_KEY": "sk-new",
                "SMARTSIP_PROVIDERS__OPENAI__PROXY": "http://own:1",
                "HTTP_PROXY": "http://proxy:3128",
            },
            {"openai": ("https://api.openai.com/v1", "sk-new", "http://own:1")},
        ),
        (
            {"SMARTSIP_PROVIDERS__MINE__BASE_URL": "https://llm.example.com/v1", "HTTP_PROXY": "http://proxy:3128"},
            {"mine": ("https://llm.example.com/v1", None, "http://proxy:3128")},
        ),
    ],
)
def test_the_older_names_configure_providers(
    around: Surroundings,
    variables: dict[str, str],
    expected: dict[str, tuple[str, str | None, str | None]],
) -> None:
    around.set(**variables)
    settings = load_settings()
    assert providers(settings) == expected
    assert settings.configured_providers == tuple(sorted({*expected, "demo"}))


def test_our_names_alone_configure_openai(around: Surroundings) -> None:
    around.set(SMARTSIP_PROVIDERS__OPENAI__API_KEY="sk-1")
    assert providers(load_settings()) == {"openai": ("https://api.openai.com/v1", "sk-1", None)}


def test_the_environment_beats_the_env_file_which_beats_older_names_which_beat_the_yaml(around: Surroundings) -> None:
    around.write("config.yaml", "port: 1\nhost: yaml\nlog_level: error\nobjects: {bucket: yaml, region: yaml}\n")
    around.write(".env", "SMARTSIP_PORT=2\nSMARTSIP_HOST=file\nMINIO_ACCESS_KEY=old-file\nSMARTSIP_REDIS__PREFIX=p:\n")
    around.set(SMARTSIP_PORT="3", SMARTSIP_OBJECTS__BUCKET="environment", SMARTSIP_OBJECTS__SECRET_KEY="ours")
    around.unset("MINIO_ACCESS_KEY")
    settings = load_settings()
    assert (settings.port, settings.host, settings.log_level, settings.redis.prefix) == (3, "file", "error", "p:")
    assert (settings.objects.bucket, settings.objects.region) == ("environment", "yaml")
    assert settings.objects.access_key.get_secret_value() == "old-file"
    assert settings.objects.secret_key.get_secret_value() == "ours"


def test_the_env_file_may_hold_other_programs_variables(around: Surroundings) -> None:
    around.write(".env", "EDITOR=vi\nOLLAMA_API_URL=http://localhost:11434/api/chat\nNOT_OURS__NESTED=1\n")
    assert providers(load_settings()) == {"ollama": ("http://localhost:11434", None, None)}


def test_the_example_of_an_env_file_shows_the_clocks_as_they_are(around: Surroundings) -> None:
    example = (Path(shared.settings.__file__).parents[1] / "compose" / ".env.example").read_text(encoding="utf-8")
    around.write(".env", example.replace("\n#SMARTSIP_", "\nSMARTSIP_"))
    settings = load_settings()
    assert "\n#SMARTSIP_CLOCKS__SAME_TOUCH=" in example
    assert (settings.clocks, settings.device_buckets, settings.profiles) == (Clocks(), {}, {})


def test_durations_are_seconds_or_iso_8601_and_lists_are_separated_by_commas(around: Surroundings) -> None:
    around.set(
        SMARTSIP_CLOCKS__LEASE="20",
        SMARTSIP_CLOCKS__HEARTBEAT="1.5",
        SMARTSIP_CLOCKS__DRAIN="PT1M",
        SMARTSIP_ALLOWED_ORIGINS="http://localhost:3000, http://localhost:5173",
    )
    settings = load_settings()
    clocks = settings.clocks
    assert (clocks.lease, clocks.heartbeat, clocks.drain) == (
        timedelta(seconds=20),
        timedelta(seconds=1.5),
        timedelta(minutes=1),
    )
    assert settings.allowed_origins == ("http://localhost:3000", "http://localhost:5173")


def test_the_config_file_of_llm_backend_api_is_understood(around: Surroundings) -> None:
    around.write("config.yaml", CONFIG_OF_LLM_BACKEND_API)
    around.unset("REDIS_URL")
    settings = load_settings()
    assert settings.port == 8080
    assert settings.redis.url.get_secret_value() == "redis://:p%40ss%2Fword@localhost:6379/3"
    assert settings.database.conninfo == REQUIRED["DATABASE_URL"]
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == "a-secret-of-32-bytes-nobody-has-seen"


KETTLE = """
profiles:
  kettle:
    min_volume_ml: 20
    max_volume_ml: 400
    volume_step_ml: 20
    bands:
      - {below_c: 35, setpoint_c: null}
      - {below_c: 70, setpoint_c: 60}
      - {below_c: 101, setpoint_c: 92}
    unlock_above_c: 90
    child_cap_c: 34
"""


def test_device_profiles_come_from_the_config_file(around: Surroundings) -> None:
    around.write("config.yaml", KETTLE)
    assert load_settings().profiles == {
        "kettle": DeviceProfile(
            name="kettle",
            min_volume_ml=20,
            max_volume_ml=400,
            volume_step_ml=20,
            bands=(
                TemperatureBand(below_c=35, setpoint_c=None),
                TemperatureBand(below_c=70, setpoint_c=60),
                TemperatureBand(below_c=101, setpoint_c=92),
            ),
            unlock_above_c=90,
            child_cap_c=34,
        )
    }


def test_the_examples_in_the_settings_own_words_work(around: Surroundings) -> None:
    words = Path(shared.settings.__file__).read_text(encoding="utf-8")
    examples = [part.partition('"""')[0] for part in words.split("Meant for `config.yaml`:\n")[1:]]
    around.write("config.yaml", "".join(map(dedent, examples)))
    around.set(OLLAMA_API_URL="localhost", OPENROUTER_API_KEY="sk-1", SILICONFLOW_API_KEY="sk-2")
    settings = load_settings()
    assert list(settings.profiles) == ["kettle"]
    assert list(settings.prices) == ["openai/gpt-4o-mini"]
    assert settings.fallbacks == {
        "openai/gpt-4o": ("openrouter/openai/gpt-4o", "ollama/llava"),
        "deepseek/*": ("siliconflow/deepseek-ai/DeepSeek-V3",),
    }


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (
            ("child_cap_c: 34", "child_cap_c: 40"),
            "The profile kettle cannot be used: child_cap_c: is too high: this device executes it at up to 60 °C, and"
            " 40 °C is the most for a child; give at most 34.",
        ),
        (
            ("below_c: 70", "below_c: 30"),
            "The profile kettle cannot be used: bands.1.below_c: must be higher than 35, where the band before ends: no"
            " request would come here.",
        ),
        (
            ("min_volume_ml: 20", "min_volume_ml: a lot"),
            "The profile kettle cannot be used: min_volume_ml: input should be a valid integer.",
        ),
        (("    child_cap_c: 34\n", ""), "The profile kettle lacks child_cap_c."),
        (("child_cap_c", "child_cap"), "The profile kettle has no field child_cap: correct its name."),
        (
            ("kettle:", "kettle:\n    name: pot"),
            "The profile kettle has another name inside: leave `name` out.",
        ),
        (
            ("kettle:", "smartsip-v0.1:"),
            "The profile smartsip-v0.1 cannot be configured: it is built in, choose another name.",
        ),
        (
            ("kettle:", "kettle:\n    prompt: mine"),
            "The profile kettle names the prompt mine, which is not everybody's: choose one of smartsip, smartsip@1,"
            " smartsip@2.",
        ),
        (
            ("kettle:", "kettle:\n    model: mylab/gpt-4o"),
            "The profile kettle names the model mylab/gpt-4o, whose provider is not configured (configured: demo).",
        ),
    ],
)
def test_a_profile_that_cannot_be_used_is_a_sentence_that_names_it_and_its_field(
    around: Surroundings, wrong: tuple[str, str], problem: str
) -> None:
    around.write("config.yaml", KETTLE.replace(*wrong))
    assert problem in around.problems()


@pytest.mark.parametrize(
    ("profiles", "problem"),
    [
        ("[]", "SMARTSIP_PROFILES is not valid: input should be a valid dictionary."),
        ("kettle", "SMARTSIP_PROFILES is not valid: input should be a valid dictionary."),
        ("{kettle: }", "The profile kettle cannot be used: input should be a valid dictionary or instance of"),
        ("{1: {}}", "The profile 1 cannot be used: name: input should be a valid string."),
        ("{Kettle: {}}", "The profile Kettle cannot be used: name: string should match pattern "),
    ],
)
def test_profiles_of_another_form_are_sentences_too(around: Surroundings, profiles: str, problem: str) -> None:
    around.write("config.yaml", f"profiles: {profiles}\n")
    assert any(told.startswith(problem) for told in around.problems())


LIMITS = """
providers:
  groq:
    api_key: gsk-1
    limits: {concurrency: 4, requests_per_minute: 30, batch_share: 0.25}
  mylab:
    base_url: http://10.0.0.5:8000/v1
fallbacks:
  groq/*: [mylab/qwen]
"""


def test_limits_and_fallbacks_come_from_the_config_file_or_the_environment(around: Surroundings) -> None:
    around.write("config.yaml", LIMITS)
    settings = load_settings()
    assert settings.endpoints["groq"].limits == ProviderLimits(concurrency=4, requests_per_minute=30, batch_share=0.25)
    assert settings.endpoints["mylab"].limits == ProviderLimits()
    assert settings.fallbacks == {"groq/*": ("mylab/qwen",)}
    around.set(
        SMARTSIP_PROVIDERS__GROQ__LIMITS__CONCURRENCY="7",
        SMARTSIP_FALLBACKS='{"groq/llama": ["mylab/other"]}',
    )
    settings = load_settings()
    assert settings.endpoints["groq"].limits.concurrency == 7
    assert settings.fallbacks["groq/llama"] == ("mylab/other",)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (
            ("requests_per_minute", "requests_a_minute"),
            "There is no setting SMARTSIP_PROVIDERS__GROQ__LIMITS__REQUESTS_A_MINUTE"
            " (providers.groq.limits.requests_a_minute in line 5 of config.yaml): correct its name.",
        ),
        (
            ("base_url: http", "base_uri: http"),
            "There is no setting SMARTSIP_PROVIDERS__MYLAB__BASE_URI (providers.mylab.base_uri in line 7 of"
            " config.yaml): correct its name.",
        ),
        (("fallbacks:", "fallback:"), "There is no setting fallback (line 8 of config.yaml): correct its name."),
        (
            ("concurrency: 4", "concurrency: 0"),
            "SMARTSIP_PROVIDERS__GROQ__LIMITS__CONCURRENCY is not valid: input should be greater than or equal to 1.",
        ),
        (
            ("[mylab/qwen]", "[openai/gpt-4o]"),
            "SMARTSIP_FALLBACKS has openai/gpt-4o as a fallback of groq/*, and its provider is not configured"
            " (configured: demo, groq, mylab).",
        ),
        (
            ("[mylab/qwen]", "[mylab/*]"),
            "SMARTSIP_FALLBACKS has mylab/* as a fallback of groq/*: name one model.",
        ),
        (
            ("[mylab/qwen]", "[]"),
            "SMARTSIP_FALLBACKS (groq/*) is not valid: tuple should have at least 1 item after validation, not 0.",
        ),
    ],
)
def test_what_is_wrong_in_the_config_file_is_named_with_its_line(
    around: Surroundings, wrong: tuple[str, str], problem: str
) -> None:
    around.write("config.yaml", LIMITS.replace(*wrong))
    assert problem in around.problems()


def test_buckets_of_devices_come_as_pairs_or_from_the_config_file(around: Surroundings) -> None:
    around.write("config.yaml", "device_buckets: {lab: anna}\n")
    assert load_settings().device_buckets == {"lab": "anna"}
    around.set(SMARTSIP_DEVICE_BUCKETS=" test = local, kitchen=boris@example.com ,")
    assert load_settings().device_buckets == {"test": "local", "kitchen": "boris@example.com"}


def test_sqlite_in_the_config_file_is_refused_where_it_is_the_only_database(around: Surroundings) -> None:
    around.write("config.yaml", CONFIG_OF_LLM_BACKEND_API)
    around.unset("DATABASE_URL")
    [told] = around.problems()
    assert told.startswith("DATABASE_URL names SQLite")
    assert "./smartsip up" in told


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port: [", "The configuration file {file} is not valid YAML in line 2: "),
        ("- port", "The configuration file {file} must hold names and values, as in `port: 8888`."),
        ("prot: 8888", "There is no setting prot (line 1 of {file}): correct its name."),
    ],
)
def test_a_wrong_config_file_is_one_sentence_that_names_it(around: Surroundings, text: str, problem: str) -> None:
    around.write("mine.yaml", text + "\n")
    file = around.directory / "mine.yaml"
    around.set(SMARTSIP_CONFIG=str(file))
    [told] = around.problems()
    assert told.startswith(problem.format(file=file))


def test_a_config_file_that_is_named_must_exist(around: Surroundings) -> None:
    around.set(SMARTSIP_CONFIG="nowhere.yaml")
    assert around.problems() == ["The configuration file nowhere.yaml cannot be read: No such file or directory."]


def test_no_secret_is_in_a_repr(around: Surroundings) -> None:
    around.set(OPENAI_API_KEY="sk-secret", HTTP_PROXY="http://user:proxy-secret@proxy:1")
    shown = repr(load_settings())
    leaks = ("redis-secret", "database-secret", "sk-secret", "proxy-secret", MASTER_KEY, "an-administrators-token")
    assert [leak for leak in leaks if leak in shown] == []


@pytest.mark.parametrize(
    "suffix", ["", "/", "/api/generate", "/api/chat", "/api/tags", "/v1", "/v1/", "/api/generate/"]
)
@pytest.mark.parametrize("base", ["http://localhost:11434", "https://ollama.example.com/behind"])
def test_ollama_is_found_with_or_without_a_path(base: str, suffix: str) -> None:
    assert normalise_ollama_url(base + suffix) == base


@given(st.text())
def test_any_text_as_config_file_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(from_yaml(text), dict)


@pytest.mark.parametrize("secret", ["short", "S3cureK3y#2024!AIsafety", "your-secret-key-change-in-production"])
def test_a_secret_for_tokens_that_can_be_guessed_is_refused(around: Surroundings, secret: str) -> None:
    around.set(SECRET_KEY=secret)
    with pytest.raises(SettingsError, match="at least 32 bytes nobody has seen") as refusal:
        load_settings()
    assert secret not in str(refusal.value)


def test_the_local_stack_takes_the_secret_its_old_configuration_has(around: Surroundings) -> None:
    around.set(SECRET_KEY="S3cureK3y#2024!AIsafety")
    around.set(SMARTSIP_IS_LOCAL_STACK="1")
    assert load_settings().is_local_stack


@pytest.mark.covers("F003-54", "F003-55")
def test_the_older_systems_variables_are_settings(around: Surroundings) -> None:
    around.set(
        SECRET_KEY="a-secret-of-32-bytes-nobody-has-seen",
        ACCESS_TOKEN_EXPIRE_MINUTES="45",
        MAX_HISTORY_TOKENS="900",
        DEFAULT_TOKEN_QUOTA="1000",
        APP_NAME="Tea",
        APP_VERSION="2.0",
        API_PREFIX="/api/v9",
        BACKEND_PORT="8000",
        MODEL_CACHE_TTL="0",
        CORS_ORIGINS='["http://localhost:5173", "http://tea.example"]',
    )
    settings = load_settings()
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == "a-secret-of-32-bytes-nobody-has-seen"
    assert settings.dialects == Dialects(
        access_token=timedelta(minutes=45),
        client_quota_tokens=1000,
        app_name="Tea",
        app_version="2.0",
        api_prefix="/api/v9",
    )
    assert (settings.limits.history_tokens, settings.port) == (900, 8000)
    assert settings.clocks.model_cache == timedelta(0)
    assert settings.allowed_origins == ("http://localhost:5173", "http://tea.example")


KEYED = sorted(name for name, known in KNOWN.items() if known.key_variable)


@pytest.mark.covers("F003-55")
def test_every_provider_is_configured_by_its_key_and_gets_no_other(around: Surroundings) -> None:
    around.set(**{KNOWN[name].key_variable or "": f"key-of-{name}" for name in KEYED})
    settings = load_settings()
    assert settings.configured_providers == tuple(sorted([*KEYED, "demo"]))
    assert providers(settings) == {name: (KNOWN[name].base_url, f"key-of-{name}", None) for name in KEYED}


@pytest.mark.covers("F003-55")
@pytest.mark.parametrize("name", [name for name in KEYED if KNOWN[name].url_variable])
def test_every_provider_can_be_elsewhere(around: Surroundings, name: str) -> None:
    known = KNOWN[name]
    around.set(**{known.url_variable or "": "http://127.0.0.1:9/v1/", known.key_variable or "": "a-key"})
    assert providers(load_settings()) == {name: ("http://127.0.0.1:9/v1", "a-key", None)}


def test_geminis_key_and_address_may_have_the_names_that_googles_sdk_gives_them(around: Surroundings) -> None:
    around.set(GOOGLE_API_KEY="a-key", GOOGLE_GEMINI_BASE_URL="http://127.0.0.1:9/")
    assert providers(load_settings()) == {"gemini": ("http://127.0.0.1:9", "a-key", None)}
    around.set(GEMINI_BASE_URL="ftp://127.0.0.1:8")
    assert [problem.partition(" ")[0] for problem in around.problems()] == ["GEMINI_BASE_URL"]


def test_a_known_address_without_a_key_configures_nothing_but_is_kept_for_who_brings_one(around: Surroundings) -> None:
    around.set(**{known.url_variable: known.base_url or "" for known in KNOWN.values() if known.url_variable})
    around.set(ZHIPU_BASE_URL="http://127.0.0.1:9", OPENROUTER_X_TITLE="Tea", GROQ_API_KEY=" ", HTTP_PROXY="proxy:3128")
    settings = load_settings()
    assert settings.configured_providers == ("demo",)
    assert settings.endpoints.keys() == set(KEYED)
    assert _endpoint(settings.endpoints["zhipu"]) == ("http://127.0.0.1:9", None, None)
    assert _endpoint(settings.endpoints["gemini"]) == (KNOWN["gemini"].base_url, None, "http://proxy:3128")
    assert settings.endpoints["openrouter"].headers == {"X-Title": "Tea"}


def test_the_attribution_for_openrouter_becomes_headers(around: Surroundings) -> None:
    around.set(OPENROUTER_API_KEY="key", OPENROUTER_HTTP_REFERER="https://tea.example", OPENROUTER_X_TITLE="Tea time")
    endpoint = load_settings().providers["openrouter"]
    assert endpoint.headers == {"HTTP-Referer": "https://tea.example", "X-Title": "Tea time"}
    around.set(OPENROUTER_X_TITLE="Tea\nX-Evil: 1")
    [told] = around.problems()
    assert told.startswith("OPENROUTER_X_TITLE is not valid: ")
    assert "Evil" not in told


@pytest.mark.covers("F003-53")
@pytest.mark.parametrize(
    ("variables", "first_delta_s", "idle_s"),
    [
        ({}, 120, 60),
        ({"PROVIDER_TIMEOUT": "20.0"}, 120, 60),
        ({"PROVIDER_TIMEOUT": "90"}, 120, 90),
        ({"PROVIDER_TIMEOUT": "600"}, 600, 600),
        ({"PROVIDER_TIMEOUT": "600", "SMARTSIP_CLOCKS__PROVIDER_IDLE": "30"}, 600, 30),
    ],
)
def test_the_older_timeout_lengthens_waits_and_never_shortens_them(
    around: Surroundings, variables: dict[str, str], first_delta_s: float, idle_s: float
) -> None:
    around.set(**variables)
    clocks = load_settings().clocks
    assert (clocks.provider_first_delta.total_seconds(), clocks.provider_idle.total_seconds()) == (
        first_delta_s,
        idle_s,
    )


@pytest.mark.parametrize("name", KEYED)
def test_a_default_model_whose_provider_lacks_its_key_says_which_to_set(around: Surroundings, name: str) -> None:
    around.set(SMARTSIP_DEFAULT_MODEL=f"{name}/a-model")
    assert around.problems() == [
        f"SMARTSIP_DEFAULT_MODEL names the provider {name!r}, which is not configured (configured: demo):"
        f" set {KNOWN[name].key_variable}.",
    ]
