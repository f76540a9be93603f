"""What llm-backend-api did for its users, feature by feature, and where this server differs on purpose."""

from typing import Final

from tests.contract.dialects.requirement import Requirement

_RAG: Final = "not in the system's document, and retrieval is not what this server is for: 404"

LLM_BACKEND_API: Final = {
    "F002-01": Requirement("registering answers 201 with its message", "`SMARTSIP_REGISTRATION` says who may"),
    "F002-02": Requirement(
        'a name that is taken: 400 `{"error":"username already exists"}`; bad input: 400', "other owners' names too"
    ),
    "F002-03": Requirement(
        "logging in answers a JWT (HS256) with user_id, for 24 hours", "beside user_id it has what RFC 8725 wants"
    ),
    "F002-04": Requirement(
        'a wrong name or password: 401 `{"error":"invalid username or password"}`', "too many of them: 429"
    ),
    "F002-05": Requirement("passwords are kept as bcrypt hashes"),
    "F002-06": Requirement(
        "everything else needs a Bearer token; three refusals in three texts",
        "API keys are as good; a token may stand in the path",
    ),
    "F002-07": Requirement("making a conversation answers 200 with id, title, model, api_key and created_time"),
    "F002-08": Requirement(
        "api_key is optional; one that is given is used for that conversation",
        "kept encrypted and shown nowhere else; the old code insisted on one",
    ),
    "F002-09": Requirement('a bad body: 400 `{"error":"Invalid request"}`', "where that says too little, the field"),
    "F002-10": Requirement(
        "the list has the caller's conversations, the newest first", "`[]` where there are none; the old code said null"
    ),
    "F002-11": Requirement(
        "a history has what user and assistant said, numbered from 1, and created_time",
        "the document shows created_time, the old code forgot it",
    ),
    "F002-12": Requirement('the history of an unknown conversation: 404 `{"error":"Conversation not found"}`'),
    "F002-13": Requirement("deleting answers 200; an unknown conversation 404", "the old code answered 200 for any id"),
    "F002-14": Requirement("an answer comes as frames `message`, one `done`, and `full_response`", "`done` came twice"),
    "F002-15": Requirement(
        "`POST /api/chat/{id}` works with and without a slash at its end",
        "the old system redirected the documented URL",
    ),
    "F002-16": Requirement("full_response is JSON whatever was said", "quotes and newlines broke it"),
    "F002-17": Requirement(
        "a chat refuses with 400 (id, body), 401, 404 (unknown conversation), 500", "unknown ones were 500"
    ),
    "F002-18": Requirement("a conversation remembers what was said before", "within `limits.history_tokens`"),
    "F002-19": Requirement(
        "gpt* is OpenAI's and glm* Zhipu's, in any case; other models are refused",
        "refused when the conversation is made; `provider/model` and every listed model will do too",
    ),
    "F002-20": Requirement("the system prompt is 你是一个乐于回答各种问题的小助手"),
    "F002-21": Requirement("text of any language comes back as it was sent"),
    "F002-22": Requirement(
        "conversations survive restarts", "and a flush of Redis, which had the only copy of what was said"
    ),
    "F002-23": Requirement(
        "a token is good without asking the database each time", "tokens are signed, not cached: a flush ends none"
    ),
    "F002-24": Requirement(
        "`config.yaml` sets the port, Redis and the secret of tokens",
        "the old code ignored jwt.secret; a `sqlite` section needs PostgreSQL in its place",
    ),
    "F002-25": Requirement(
        "three lines say that it started",
        decision="`smartsip up` prints its own lines for all surfaces, and the log is structured; no client reads them",
    ),
    "F002-26": Requirement("further models and services can be added", "by configuration: no code for one like OpenAI"),
    "F002-27": Requirement("a failure in mid-stream is a frame `error`", "and the last one: `done` never follows it"),
    "F002-28": Requirement("web pages elsewhere may use it", "those that `SMARTSIP_ALLOWED_ORIGINS` lists"),
    "F002-29": Requirement("POST /api/rag/kb/create", decision=_RAG),
    "F002-30": Requirement("GET /api/rag/kb/list", decision=_RAG),
    "F002-31": Requirement("POST /api/rag/kb/delete", decision=_RAG),
    "F002-32": Requirement("POST /api/rag/doc/upload", decision=_RAG),
    "F002-33": Requirement("GET /api/rag/doc/list", decision=_RAG),
    "F002-34": Requirement("POST /api/rag/doc/delete", decision=_RAG),
    "F002-35": Requirement("POST /api/rag/retrieve", decision=_RAG),
    "F002-36": Requirement("POST /api/rag/chat", decision=_RAG),
    "F002-37": Requirement("GET /api/rag/models", decision=_RAG),
}
