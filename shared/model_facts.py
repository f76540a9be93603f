"""What is known of models by their names, for those whose provider does not say it.

Conservative: what is not sure is left out, and a version that is not named here is not known. As of 2026-11, from the
models' own pages.
"""

import re
from typing import Final

from shared.domain.models import NOTHING_KNOWN, Abilities, Makes
from shared.providers_known import about


def _are(beginnings: str, abilities: Abilities) -> dict[str, Abilities]:
    return dict.fromkeys(beginnings.split(), abilities)


_SEES: Final = Abilities(vision=True)
_READS: Final = Abilities(vision=False)
_REASONS: Final = Abilities(vision=False, reasoning=True)
_OPENAI_PLAIN: Final = Abilities(vision=True, audio=False, video=False, reasoning=False, tools=True)
_OPENAI_REASONS: Final = Abilities(vision=True, audio=False, video=False, reasoning=True, tools=True)
_OPENAI_O: Final = _OPENAI_REASONS.or_else(Abilities(context_length=200_000, max_output_tokens=100_000))
_DOUBAO_SEED: Final = Abilities(vision=True, video=True, reasoning=True)
_GEMINI: Final = Abilities(vision=True, audio=True, video=True)
_PAINTS: Final = Abilities(reasoning=False, tools=False, makes=("images",))
_FILMS: Final = Abilities(vision=True, reasoning=False, tools=False, makes=("video",))
_ELSE: Final = Abilities(makes=())

_BY_BEGINNING: Final = {
    # OpenAI
    **_are("gpt-3.5 gpt-4 gpt-4-turbo-preview", Abilities(vision=False, audio=False, video=False, reasoning=False)),
    **_are("gpt-4-turbo gpt-4.5", _OPENAI_PLAIN),
    **_are("gpt-4o", _OPENAI_PLAIN.or_else(Abilities(context_length=128_000))),
    **_are("chatgpt-4o gpt-5-chat", Abilities(vision=True, audio=False, video=False, reasoning=False)),
    **_are("gpt-4.1", _OPENAI_PLAIN.or_else(Abilities(context_length=1_047_576, max_output_tokens=32_768))),
    **_are("gpt-4o-audio gpt-4o-mini-audio gpt-audio", Abilities(vision=False, audio=True, reasoning=False)),
    **_are("gpt-4o-search gpt-4o-mini-search", Abilities(audio=False, video=False, reasoning=False)),
    **_are("gpt-5 gpt-5.1 gpt-5.2 gpt-5.3 gpt-5.4 gpt-5.5", _OPENAI_REASONS),
    **_are("gpt-5-image gpt-5-image-mini", Abilities(vision=True, makes=("answer", "images"))),
    **_are("gpt-5.3-codex-spark", _REASONS),
    **_are("o1 o1-pro o3 o4-mini", _OPENAI_O),
    **_are("o1-mini o1-preview o3-mini", _REASONS),
    **_are("gpt-oss", Abilities(vision=False, reasoning=True, tools=True)),
    **_are("dall-e gpt-image chatgpt-image", _PAINTS),
    # DeepSeek: only one model sees, and thinking is on unless switched off
    **_are("deepseek-chat deepseek-coder deepseek-v3 deepseek-v3.1 deepseek-v3.2", _READS),
    **_are("deepseek-r1 deepseek-reasoner deepseek-flash deepseek-v4 deepseek-v4-pro deepseek-v4-flash", _REASONS),
    **_are("deepseek-v4-flash-vision", Abilities(vision=True, reasoning=True)),
    **_are("deepseek-vl deepseek-vl2", _SEES),
    # Doubao (Volcengine Ark)
    **_are("doubao-1-5-lite doubao-1-5-pro", Abilities(vision=False, audio=False, video=False, reasoning=False)),
    **_are("doubao-1-5-vision", Abilities(vision=True, audio=False, reasoning=False)),
    **_are("doubao-seed-1-6 doubao-seed-1-8 doubao-seed-2-0", _DOUBAO_SEED),
    **_are("doubao-seed-code", Abilities(vision=True, reasoning=True)),
    **_are("doubao-seedream seedream", _PAINTS.or_else(_SEES)),
    **_are("doubao-seedance seedance", _FILMS),
    **_are("doubao-seedance-1-0-lite-t2v", _READS.or_else(_FILMS)),
    # Grok
    **_are("grok-4 grok-4.20 grok-2-vision", _SEES),
    **_are("grok-4.3 grok-4.5 grok-4.6 grok-latest", Abilities(vision=True, reasoning=True)),
    **_are("grok-code-fast", _REASONS),
    **_are("grok-2-image grok-imagine", _PAINTS),
    # Gemini
    **_are("gemini", _GEMINI),
    **_are("gemini-2.5 gemini-3 gemini-3.1 gemini-3.5 gemini-3.8", _GEMINI.or_else(Abilities(reasoning=True))),
    **_are("gemini-2.5-flash-image gemini-3-pro-image", Abilities(vision=True, makes=("answer", "images"))),
    **_are("gemini-3.1-flash-image nano-banana", Abilities(vision=True, makes=("answer", "images"))),
    **_are("gemini-2.5-flash-preview-tts gemini-2.5-pro-preview-tts gemini-2.5-flash-native-audio", _ELSE),
    **_are("gemini-embedding gemini-live imagen veo lyria aqa", _ELSE),
    # Claude
    **_are("claude-3 claude-3.5 claude-3.7 claude-sonnet claude-opus claude-haiku", _SEES),
    **_are("claude-2 claude-2.1 claude-instant", _READS),
    # Open weights, wherever they run
    **_are("llama-2 llama2 llama-3 llama3 llama-3.1 llama3.1 llama-3.3 llama3.3 codellama", _READS),
    **_are("meta-llama-3 meta-llama-3.1 llama-3.2-1b llama-3.2-3b llama3.2:1b llama3.2:3b", _READS),
    **_are("llama-3.2-11b-vision llama-3.2-90b-vision llama3.2-vision llama-4 llama4", _SEES),
    **_are("qwen2 qwen2.5 qwen2.5-coder qwen3 qwen3-coder qwen-2.5 qwen-2.5-coder qwen-3", _READS),
    **_are("qwq", _REASONS),
    **_are("qwen-vl qwen2-vl qwen2.5-vl qwen2.5vl qwen3-vl qwen3vl qwen-3-vl qvq", _SEES),
    **_are("glm-4 glm-4.5 glm-4.6 glm-4.7", _READS),
    **_are("glm-4v glm-4.1v glm-4.5v glm-4.6v", _SEES),
    **_are("kimi-k2", _READS),
    **_are("kimi-k2-thinking", _REASONS),
    **_are("kimi-k2.5 kimi-vl", _SEES),
    **_are("mixtral codestral", _READS),
    **_are("pixtral", _SEES),
    **_are("gemma-2b gemma-7b gemma-2 gemma2 gemma-3-1b gemma-3-270m gemma3:1b gemma3:270m", _READS),
    **_are("gemma-3-4b gemma-3-12b gemma-3-27b gemma3:4b gemma3:12b gemma3:27b gemma-4 gemma4", _SEES),
    **_are("phi-3-mini phi-3-small phi-3-medium phi-3.5-mini phi-3.5-moe", _READS),
    **_are("phi-3-vision phi-3.5-vision phi-4-multimodal", _SEES),
    **_are(
        "llava bakllava moondream moondream2 minicpm-v minicpm-o internvl2 internvl2.5 internvl3 internvl3.5", _SEES
    ),
    **_are("stable-diffusion flux flux.1 kolors qwen-image cogview", _PAINTS),
    **_are("wan2.1 wan2.2 hunyuanvideo ltx-video cogvideox sora sora-2", _FILMS),
    # What neither talks nor draws
    **_are("text-embedding text-moderation omni-moderation davinci babbage gpt-realtime", _ELSE),
    **_are("gpt-4o-realtime gpt-4o-mini-realtime gpt-4o-transcribe gpt-4o-mini-transcribe gpt-4o-mini-tts", _ELSE),
    **_are("whisper distil-whisper tts tts-1 playai-tts orpheus cosyvoice sensevoice fish-speech", _ELSE),
    **_are("mistral-embed codestral-embed mistral-ocr mistral-moderation llama-guard llama-prompt-guard", _ELSE),
    **_are("bge e5 nv-embed nv-embedqa nomic-embed mxbai-embed all-minilm embeddinggemma jina-embeddings", _ELSE),
    **_are("qwen3-embedding qwen3-reranker snowflake-arctic-embed", _ELSE),
}
_BEGINNING: Final = re.compile(
    # the longest that fits counts; `o3` is not the beginning of `o3000`, nor `qwen3` that of `qwen3.9`
    f"({'|'.join(re.escape(name) for name in sorted(_BY_BEGINNING, key=len, reverse=True))})(?![a-z0-9]|\\.[0-9])"
)


def abilities_of(provider: str, model_id: str, said: Abilities = NOTHING_KNOWN) -> Abilities:
    """Return what a model can do when it is asked through this system.

    What its provider says of it counts first, then what is known of its name; and none can do more than what can be
    asked of its provider here.
    """
    by_name, asked_of = _by_name(model_id), about(provider)
    makes = said.makes if said.makes is not None else by_name.makes
    limits = Abilities(
        audio=None if "audio" in asked_of.media else False,
        video=None if "video" in asked_of.media else False,
        makes=tuple(kind for kind in (("answer",) if makes is None else makes) if kind in asked_of.makes),
    )
    return limits.or_else(said, by_name, Abilities(schema_mode=asked_of.schema_mode))


def sees_photos(provider: str, model_id: str, said: Abilities = NOTHING_KNOWN) -> bool | None:
    """Return whether a model can be shown a photo and answers in words; None is not known."""
    can = abilities_of(provider, model_id, said)
    return can.vision if "answer" in (can.makes or ()) else False


def could_make(provider: str, model_id: str, wanted: Makes) -> bool:
    """Return whether it may be asked for this: not what is known by its name to make something else.

    What makes nothing that can be asked for here is left to its provider, which knows what replaced it.
    """
    if wanted not in about(provider).makes:
        return False
    by_name = _by_name(model_id)
    return by_name is NOTHING_KNOWN or by_name.makes == () or wanted in (by_name.makes or ("answer",))


def _by_name(model_id: str) -> Abilities:
    """Whoever offers the model may have put its maker before the name, and a fine-tuned one is as its base."""
    name = model_id.lower().removeprefix("ft:").rpartition("/")[2]
    found = _BEGINNING.match(name)
    return NOTHING_KNOWN if found is None else _BY_BEGINNING[found[1]]
