"""The foreign surfaces this server speaks. Adding one is a folder here and a row in this table."""

from typing import Final

from api.dialect import Dialect
from api.dialects.api_server import API_SERVER
from api.dialects.lite_llm_chat import LITE_LLM_CHAT
from api.dialects.llm_backend_api import LLM_BACKEND_API
from api.dialects.llm_service_api import LLM_SERVICE_API
from api.dialects.openai import OPENAI
from api.dialects.smartsip import SMARTSIP

DIALECTS: Final[tuple[Dialect, ...]] = (SMARTSIP, API_SERVER, LLM_BACKEND_API, OPENAI, LITE_LLM_CHAT, LLM_SERVICE_API)
