"""What a runner reads of a chat: its turns, newest first, and the provider key it brought; and what it keeps there."""

from typing import Any, Final

from sqlalchemy import text, update
from sqlalchemy.sql.dml import ReturningUpdate

from shared.database.tables import message

TURNS: Final = text("""
select id, turn, role, content, media, reasoning, signatures
from (
    select message.*,
        sum(octet_length(content)) filter (where turn < :turn) over (order by turn desc, id desc) as bytes_so_far
    from message where chat_id = :chat_id and owner_id = :owner_id and turn <= :turn
) as said
where turn = :turn and role <> 'assistant' or turn < :turn and bytes_so_far <= :max_bytes
order by turn, id
""")
"""What was said up to a turn, in order, without an answer to it; of what came before, the newest `max_bytes`."""

PROVIDER_KEY: Final = text("select provider_key from chat where id = :chat_id and owner_id = :owner_id")


def keep_media(owner_id: int, message_id: int, media: list[dict[str, str]]) -> ReturningUpdate[Any]:
    """Let a message refer to what was stored; a row unless it was deleted."""
    return (
        update(message)
        .where(message.c.owner_id == owner_id, message.c.id == message_id)
        .values(media=media)
        .returning(message.c.id)
    )
