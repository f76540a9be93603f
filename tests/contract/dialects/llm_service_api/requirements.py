"""What the LLM Service API did for its users, feature by feature, and where this one differs on purpose."""

from typing import Final

from tests.contract.dialects.requirement import Requirement

LLM_SERVICE_API: Final = {
    "F004-01": Requirement("POST /token takes a login form and gives a bearer token"),
    "F004-02": Requirement(
        "a wrong password: 401 with WWW-Authenticate; missing fields: 422", "too many wrong ones: 429"
    ),
    "F004-03": Requirement(
        "a token expires after ACCESS_TOKEN_EXPIRE_MINUTES and is signed with SECRET_KEY",
        "the old code always took 30 minutes; a SECRET_KEY that can be guessed is refused",
    ),
    "F004-04": Requirement("POST /set-llm takes model_name, temperature, max_tokens, top_p and gives a session_id"),
    "F004-05": Requirement("later requests of that session use that configuration"),
    "F004-06": Requirement(
        "POST /chat with a session_id answers `response`", "it uses and feeds the session's history, and names it"
    ),
    "F004-07": Requirement("POST /chat without a session_id gets a ULID", "it is told, so that one can go on"),
    "F004-08": Requirement(
        "a model's failure: 500 with `detail`; a missing message: 422", "no provider's words with secrets in them"
    ),
    "F004-09": Requirement("WS /ws/{session_id}: text in, `chunk` frames out"),
    "F004-10": Requirement("an answer's last frame is `complete`"),
    "F004-11": Requirement("a session's history is kept across messages and connections", "and across restarts"),
    "F004-12": Requirement(
        "special tokens never reach the client", "wherever they are cut; what a model thinks is not sent either"
    ),
    "F004-13": Requirement("an error is a frame, not silence"),
    "F004-14": Requirement("history is trimmed to MAX_HISTORY_TOKENS", "whole turns, the newest are kept"),
    "F004-15": Requirement("ids of sessions are ULIDs", "clients may choose others, as they could"),
    "F004-16": Requirement("sessions are isolated from one another", "by owner too"),
    "F004-17": Requirement("GET /health and GET /health2"),
    "F004-18": Requirement(
        "pages of other origins may ask", "those that are listed, and without credentials of a browser"
    ),
    "F004-19": Requirement(
        "20 requests a minute, and lists of addresses",
        decision="the old system has this middleware and does not install it; here logins, open streams and waiting"
        " jobs are bounded, quotas bound the tokens, and lists of addresses are a reverse proxy's",
    ),
    "F004-20": Requirement(
        "a token may be asked for on /chat, /set-llm and /ws", "the setting says whether; default: yes"
    ),
    "F004-21": Requirement(
        "another model may reason before the answer",
        decision="a setting of the old system's library that none of its requests can reach; models that reason do so"
        " here, and what they think is kept with the answer",
    ),
    "F004-22": Requirement("/docs is there"),
}
