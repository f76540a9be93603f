"""What Lite-LLM-Chat did for its users, feature by feature, and where this system differs on purpose.

See `tests/contract/dialects/smartsip/requirements.py` for how tests and features are held against each other.
"""

from typing import Final

from tests.contract.dialects.requirement import Requirement

_PROVIDERS: Final = (
    "the deep mapping of parameters provider by provider is an issue of its own; until then the parameters are"
    " validated and travel with the job, and what a provider's row does not know is left out"
)
_MEDIA_MADE: Final = "no job makes images or videos yet: they come with the kinds `image` and `video`"

LITE_LLM_CHAT: Final = {
    "F003-01": Requirement(
        "GET /health has status, app and version", "the LLM Service API's clients read `status` at the same path"
    ),
    "F003-02": Requirement(
        "GET /providers lists the configured ones with exactly id, name, description, supported",
        "also providers the old system did not know, and `demo` last, so that a client has a model without any key",
    ),
    "F003-03": Requirement("GET /models lists all models, with exactly the members the terminal client takes"),
    "F003-04": Requirement("?provider= filters; an unknown provider has none"),
    "F003-05": Requirement("lists of models are believed for MODEL_CACHE_TTL; 0 asks each time"),
    "F003-06": Requirement("known models are listed where a list cannot be had"),
    "F003-07": Requirement("sessions are listed page by page, newest first, with message_count", "limit is 1 to 1000"),
    "F003-08": Requirement("a session comes with its messages, all documented columns"),
    "F003-09": Requirement("POST /sessions answers 201", "provider and model must be names that there can be"),
    "F003-10": Requirement("PATCH renames; nothing or an empty title keeps it", "a title is cut at 255 characters"),
    "F003-11": Requirement("DELETE of a session answers 204 and removes its messages", "and what was derived of them"),
    "F003-12": Requirement("truncating removes a message and all after it, 204", "what is being answered is stopped"),
    "F003-13": Requirement("DELETE of all sessions answers 204", "only the caller's: the old one deleted everybody's"),
    "F003-14": Requirement(
        "404 `Session N not found` wherever a session is named", "also for another owner's, and for /v2's own chats"
    ),
    "F003-15": Requirement("a stream of a session: session_id first, content, done last"),
    "F003-16": Requirement("without a session one is made, titled as asked or `Chat date`"),
    "F003-17": Requirement("stream=false answers session_id and message"),
    "F003-18": Requirement("stream is true unless said otherwise; parameters out of bounds are 422"),
    "F003-19": Requirement(
        "what is stored goes along as context",
        "as far as MAX_HISTORY_TOKENS reaches; what was never answered stays for display only",
    ),
    "F003-20": Requirement("system_prompt goes first and is not stored"),
    "F003-21": Requirement("message_provider and message_model are used for this turn, and recorded"),
    "F003-22": Requirement(
        "an unsupported provider is 400, and no session is left behind", "the old system left one behind"
    ),
    "F003-23": Requirement(
        "a provider's failure is an error event, or a 500 with its words",
        "without keys; an answer of nothing at all is an error in streams too",
    ),
    "F003-24": Requirement("reasoning has events of its own and is stored as thought_process"),
    "F003-25": Requirement("<think> is taken out of the content, wherever it is cut"),
    "F003-26": Requirement("all text comes before done", "the old system sent up to 7 characters after it"),
    "F003-27": Requirement(
        "search results are events and are stored; a whole answer has Sources beneath",
        "a whole answer has them in search_results too",
    ),
    "F003-28": Requirement("thought signatures are stored, shown, and sent back with the history"),
    "F003-29": Requirement("images: uploaded, referred to, and shown to the model as data URLs"),
    "F003-30": Requirement("videos likewise, where the provider takes them"),
    "F003-31": Requirement("audios likewise, where the provider takes them"),
    "F003-32": Requirement("image_detail, image_pixel_limit, fps, video_detail and max_frames are taken"),
    "F003-33": Requirement(
        "an upload answers 200 with /uploads/…, where it can be fetched",
        "images, videos and audio files by their content; nothing a browser would run",
    ),
    "F003-34": Requirement(
        "paths that lead elsewhere and other owners' files are refused", "the old system read any file of its disk"
    ),
    "F003-35": Requirement(
        "images of an answer are kept under /uploads",
        "data URLs only: an address in an answer is left as it is, and never fetched",
    ),
    "F003-36": Requirement("a client that leaves stops the answer", "what was said until then stays in the session"),
    "F003-37": Requirement("DeepSeek is asked as it documents"),
    "F003-38": Requirement(
        "Doubao: thinking, reasoning_effort, max_completion_tokens",
        "the limit has that name for models that reason; no effort for those that take none",
    ),
    "F003-39": Requirement(
        "Doubao Seedream makes images",
        "size, watermark and optimize mode are sent only if they were said, the seed only to versions that take one; a"
        " call whose outcome is not known is not made again",
    ),
    "F003-40": Requirement(
        "Doubao Seedance makes videos",
        "no slot is held meanwhile, and the job's deadline ends the wait; a film without an address is an error",
    ),
    "F003-41": Requirement("SiliconFlow: enable_thinking, thinking_budget, min_p, top_k"),
    "F003-42": Requirement(
        "Groq: reasoning keys by model, no whisper in the list", "Qwen's thoughts are asked for apart from its answer"
    ),
    "F003-43": Requirement(
        "Mistral: safe_prompt, random_seed, thinking parts", "random_seed keeps its name, which is Mistral's"
    ),
    "F003-44": Requirement("Grok: no penalties for models that reason", "for no model: none of today's takes them"),
    "F003-45": Requirement(
        "OpenRouter: routing, plugins, web search, image output",
        "transforms and web_search_options as the plugins they are now; route is no more",
    ),
    "F003-46": Requirement(
        "Gemini: thinking, media resolution, search, URL context",
        "thinking_level and thinking_budget are each said in the words that the model understands",
    ),
    "F003-47": Requirement("Gemini's safety_threshold works"),
    "F003-48": Requirement("Gemini makes images"),
    "F003-49": Requirement(
        "Imagen makes images",
        "Imagen was shut down: its models are refused with what replaced them, and its parameters are asked of that",
    ),
    "F003-50": Requirement("Cerebras: effort and reasoning by model"),
    "F003-51": Requirement(
        "Nvidia: chat_template_kwargs.thinking, reasoning_effort", "enable_thinking for models that call it so"
    ),
    "F003-52": Requirement("a parameter that a provider does not know is no error", "the old system crashed on it"),
    "F003-53": Requirement(
        "HTTP_PROXY and PROVIDER_TIMEOUT", "the timeout lengthens waits for slow models, and never cuts one off"
    ),
    "F003-54": Requirement("CORS_ORIGINS", "no page is let in unless it is listed, and no credentials are shared"),
    "F003-55": Requirement(
        "APP_NAME, APP_VERSION, API_PREFIX, BACKEND_PORT, every *_API_KEY and *_BASE_URL",
        "DATABASE_URL names PostgreSQL: an SQLite one is refused with a sentence; the port is 8888 where none is set",
    ),
    "F003-56": Requirement("/docs, /redoc and /openapi.json", "they work without the internet"),
    "F003-57": Requirement(
        "the database is made and migrated by itself", "by migrations; an old file is imported, videos and audios too"
    ),
    "F003-58": Requirement("a provider can be added", "by configuration alone, if it speaks OpenAI's protocol"),
    "F003-59": Requirement("the terminal client has a whole session", "shown with a double of it: it is not vendored"),
    "F003-60": Requirement(
        "the web page works: send, refetch, edit, upload", "shown with a double of it, which reads streams as it does"
    ),
    "F003-61": Requirement("updated_at, provider and model of a session follow its last turn"),
    "F003-62": Requirement("history outlasts a restart"),
}
