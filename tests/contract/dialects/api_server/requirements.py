"""What api-server (GPTDock) did for its users, feature by feature, and where this one differs on purpose."""

from typing import Final

from tests.contract.dialects.requirement import Requirement

API_SERVER: Final = {
    "F001-01": Requirement('GET /v1/health and /api/v1/health answer `{"status": "ok"}`'),
    "F001-02": Requirement("without a stream: a chat.completion with id, object, created, model, usage and choices"),
    "F001-03": Requirement(
        "as a stream: `data: {chunk}` events, the role, the words, an empty delta with finish_reason stop, the end",
        "what keeps a silent stream alive is a chunk with an empty delta",
    ),
    "F001-04": Requirement("each event begins with `data: `, ends with an empty line, and is UTF-8 JSON with choices"),
    "F001-05": Requirement("the history of user and assistant is used", "a turn of any other role is refused with 400"),
    "F001-06": Requirement("client_id and user_id say who asks; the provider is told as `user`, client_user"),
    "F001-07": Requirement("ids may be strings or numbers", "1 and `1` are the same client"),
    "F001-08": Requirement("a missing field: 400 `Missing required parameters, …`"),
    "F001-09": Requirement(
        "each client has a quota of tokens; beyond it 402 `Insufficient token (client)!`",
        "what a question may use is reserved before it is asked, so that many at once cannot overspend;"
        " a caller's clients are the caller's own",
    ),
    "F001-10": Requirement(
        "what was used is taken off the client's quota and counted for the user",
        "what the provider counted, once; the user is a label of the job",
    ),
    "F001-11": Requirement(
        "the history is trimmed to 3000 characters (6000 for gpt-4), the newest kept",
        "a question that is longer than that is asked all the same",
    ),
    "F001-12": Requirement(
        "GPTDock's system prompt, with the date, goes first",
        "it names the model that is asked, and its knowledge's end only where that is true",
    ),
    "F001-13": Requirement("a provider that asks to slow down is asked again"),
    "F001-14": Requirement(
        "a failure after the first word ends the stream with a stop event",
        "which has an `error`, so that it is not taken for the end of the answer",
    ),
    "F001-15": Requirement(
        "pages of other origins may call it", "those that SMARTSIP_ALLOWED_ORIGINS lists; `*` is every one"
    ),
    "F001-16": Requirement("no conversation is kept between two questions"),
    "F001-17": Requirement("it listens on port 5001 of this machine only", "SMARTSIP_PORT=5001; 8888 unless it is set"),
    "F001-18": Requirement(
        "a pre-shared key as `Authorization: Bearer …`; a wrong one is an `Invalid token!`",
        "an API key or a user's token; without a valid one 401, with one for other things 403",
    ),
    "F001-19": Requirement("GET /v1/client/info tells quota_used and max_quota", "an unknown client is 404"),
    "F001-20": Requirement(
        "product_id, `[DONE]`, text/event-stream, and answers nobody waited for",
        "product_id is ignored, and there is no `[DONE]`: readers of the documented stream take every block for JSON;"
        " the type is text/event-stream; answers are finished and counted when their caller has left",
    ),
    "F001-21": Requirement(
        "GET / answers `Hello World!`",
        decision="GET / is SmartSip's `Hello, Sphinx!`, which devices in the field read; no client of api-server does",
    ),
}
