"""A job's events over SSE: live, resumed, replayed, and whatever becomes of Redis meanwhile."""

import asyncio
import random
from collections.abc import Callable
from uuid import UUID

import msgspec

from shared.adapters.redis_event_log import channel, log_key
from shared.domain.errors import Internal
from shared.domain.events import Cancelled, Completed, Failed, Text, encode_event, event_type
from shared.domain.ids import JobId
from shared.settings import Settings
from tests.integration.api.job_runner import Attempt, JobRunner
from tests.integration.api.jobs import CHAT, Heard, all_events, read, stream, submit
from tests.quick_settings import ADMIN_TOKEN, settings_for
from tests.served import Served, served
from tests.stack import TestStack, eventually, make_bucket, migrated_database


def heard(attempt: Attempt) -> list[Heard]:
    """What a reader must have heard of an attempt."""
    return [
        Heard(str(entry.cursor), event_type(entry.event), msgspec.json.decode(encode_event(entry.event)))
        for entry in attempt.entries
    ]


async def test_a_reader_sees_every_event_live_from_the_queue_to_the_end(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        async with stream(api, job_id) as events:
            assert events.response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert events.response.headers["cache-control"] == "no-cache, no-transform"
            assert events.response.headers["x-accel-buffering"] == "no"
            assert "content-length" not in events.response.headers
            assert await events.next() == Heard("0.1", "queued", {"type": "queued", "position": 0})
            attempt = await runner.begin(job_id)
            await attempt.say(Text("Because of "))
            assert await events.take(2) == heard(attempt)
            await attempt.say(Text("Rayleigh\r\n\u2028🌤"), Text(" scattering."))
            await attempt.end(Completed("stop"))
            assert await events.rest() == heard(attempt)[2:]
        assert api.front.subscriber.subscriptions == 0


async def test_a_late_reader_sees_every_event_while_redis_has_the_log_and_after_it_forgot(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        await attempt.say(Text("a"), Text("b"))
        async with stream(api, job_id) as events:
            assert await events.take(3) == heard(attempt)
            await attempt.end(Completed("stop"))
            assert await events.rest() == heard(attempt)[3:]
        await api.front.redis.delete(log_key(settings.redis.prefix, attempt.claim.id, 1))
        assert await all_events(api, job_id) == heard(attempt)
        assert await all_events(api, job_id, after="1.2") == heard(attempt)[2:]


async def test_who_has_everything_of_an_ended_job_gets_204(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        await attempt.end(Completed("stop"))
        for headers, query in (({"Last-Event-ID": "1.2"}, ""), ({}, "?after=1.2")):
            answer = await api.client.get(f"/v2/jobs/{job_id}/events{query}", headers=headers)
            assert (answer.status_code, answer.content) == (204, b"")
        assert api.front.subscriber.subscriptions == 0


async def test_a_malformed_cursor_is_refused(settings: Settings):
    async with served(settings) as api:
        job_id = await submit(api)
        for after in ("%", "1", "x", "1.", ".1", "-1.1", "1.1.1", "1.x", "¹.1", "9999999999.1"):
            answer = await api.client.get(f"/v2/jobs/{job_id}/events", params={"after": after})
            assert (answer.status_code, answer.json()["field"]) == (422, "after")
        answer = await api.client.get(f"/v2/jobs/{job_id}/events", headers={"Last-Event-ID": "x"})
        assert (answer.status_code, answer.json()["field"]) == (422, "Last-Event-ID")


async def test_a_cursor_beyond_the_end_is_refused(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        await attempt.say(Text("a"))
        await attempt.end(Completed("stop"))
        for after in ("2.1", "1.4", "0.2", "7.0"):
            for headers, query in (({"Last-Event-ID": after}, ""), ({}, f"?after={after}")):
                answer = await api.client.get(f"/v2/jobs/{job_id}/events{query}", headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
                assert answer.json()["field"] == "after"
        assert api.front.hub.open_readers == 0


async def test_a_new_attempt_voids_the_old_one_for_readers_new_and_returning(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        first = await runner.begin(job_id)
        await first.say(Text("half an ans"))
        async with stream(api, job_id) as events:
            assert await events.take(2) == heard(first)
            await first.give_back()
            second = await runner.begin(job_id)
            await second.say(Text("the answer"))
            assert await events.take(2) == heard(second)
            await first.say(Text("wer of a zombie"))
            await second.end(Completed("stop"))
            assert await events.rest() == heard(second)[2:]
        assert await all_events(api, job_id) == heard(second)
        assert await all_events(api, job_id, after="1.2") == heard(second)


async def test_an_end_without_a_runner_is_told_from_the_row(settings: Settings):
    async with served(settings) as api:
        job_id = await submit(api)
        async with stream(api, job_id) as events:
            await events.next()
            assert (await api.client.post(f"/v2/jobs/{job_id}/cancel")).status_code == 200
            told = [Heard("1.1", "cancelled", {"type": "cancelled", "phase": "queued"})]
            assert await events.rest() == told
        assert await all_events(api, job_id) == told
        expiring = await submit(api, timeout_s=0.3)
        assert [event.type for event in await all_events(api, expiring)] == ["queued", "expired"]


async def test_an_end_that_was_never_announced_is_found_in_the_row(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        async with stream(api, job_id) as events:
            await events.next()
            attempt.keep(Text("nobody"), Text("heard"))
            await attempt.end(Failed(Internal("why").info()), is_heard=False)
            assert await events.rest() == heard(attempt)[1:]


async def test_a_flush_in_mid_stream_loses_nothing(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        async with stream(api, job_id) as events:
            await attempt.say(Text("before "))
            assert await events.take(2) == heard(attempt)
            await api.front.redis.delete(log_key(settings.redis.prefix, attempt.claim.id, 1))
            await attempt.say(Text("after"))
            assert await events.take(1) == heard(attempt)[2:]
            # a message that nobody heard, because the log and its announcement were lost together
            attempt.keep(Text(" unheard"))
            await api.front.redis.delete(log_key(settings.redis.prefix, attempt.claim.id, 1))
            await attempt.say(Text(" heard"))
            assert await events.take(2) == heard(attempt)[3:]
            await attempt.end(Completed("stop"))
            assert await events.rest() == heard(attempt)[5:]


async def test_a_message_that_cannot_be_filled_from_the_log_waits_for_the_runner(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        async with stream(api, job_id) as events:
            await events.next()
            attempt.keep(Text("lost"))
            late = attempt.keep(Text("early"))
            await api.front.redis.delete(log_key(settings.redis.prefix, attempt.claim.id, 1))
            message = b"[" + b",".join(msgspec.json.encode(entry) for entry in late) + b"]"
            await api.front.redis.publish(  # pyright: ignore[reportUnknownMemberType]
                channel(settings.redis.prefix, attempt.claim.id), message
            )
            await api.front.events.rewrite(attempt.claim.id, 1, attempt.entries, announce_from=3)
            assert await events.take(2) == heard(attempt)[1:]


async def test_valkey_killed_and_restarted_in_mid_stream_leaves_readers_whole(
    private_stack: Callable[[], TestStack],
):
    stack = private_stack()
    settings = settings_for(
        stack, database_url=migrated_database(stack), redis_prefix="chaos:", bucket=make_bucket(stack)
    )
    async with served(settings) as api, JobRunner(api.front) as runner:
        jobs = [await submit(api) for _ in range(10)]
        attempts = [await runner.begin(job_id) for job_id in jobs]
        readers = [asyncio.create_task(all_events(api, job_id)) for job_id in jobs]
        await eventually(lambda: _has_readers(api, 10))
        await stack.kill_valkey()
        for attempt in attempts:
            attempt.keep(Text("said while Redis was away"))
        for attempt in attempts[:3]:  # what ended meanwhile is found in the row
            attempt.keep(Text("ended alone"))
            await attempt.end(Completed("stop"), is_heard=False)
        await stack.start_valkey()
        for attempt in attempts[3:]:
            await attempt.say(Text("said after"))
            await attempt.end(Completed("stop"))
        for attempt, reader in zip(attempts, readers, strict=True):
            events = await asyncio.wait_for(reader, 10)
            assert [event for event in events if event.type != "queued"] == heard(attempt)


async def test_postgresql_stopped_and_started_in_mid_stream_costs_no_event_and_no_answer(
    private_stack: Callable[[], TestStack],
):
    stack = private_stack()
    settings = settings_for(stack, database_url=migrated_database(stack), redis_prefix="pg:", bucket=make_bucket(stack))
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        async with stream(api, job_id) as events:
            await events.next()
            await stack.stop_postgres()
            await attempt.say(Text("said while PostgreSQL was away"))
            assert await events.take(1) == heard(attempt)[1:]
            for request in (
                api.client.get(f"/v2/jobs/{job_id}", timeout=15),
                api.client.post("/v2/jobs", json=CHAT, timeout=15),
            ):
                refused = await request
                assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            await stack.start_postgres()
            await attempt.end(Completed("stop"), is_heard=False)
            assert await events.rest() == heard(attempt)[2:]
        assert [job["id"] for job in (await api.client.get("/v2/jobs")).json()["jobs"]] == [job_id]


async def test_without_redis_jobs_are_accepted_and_streams_end(private_stack: Callable[[], TestStack]):
    stack = private_stack()
    settings = settings_for(
        stack, database_url=migrated_database(stack), redis_prefix="away:", bucket=make_bucket(stack)
    )
    async with served(settings) as api, JobRunner(api.front) as runner:
        await stack.kill_valkey()
        job_id = await submit(api)
        reading = asyncio.create_task(all_events(api, job_id))
        await eventually(lambda: _has_readers(api, 1))
        attempt = await runner.claim(job_id)
        attempt.keep(Text("alone"))
        await attempt.end(Completed("stop"), is_heard=False)
        assert [event for event in await reading if event.type != "queued"] == heard(attempt)


async def test_two_hundred_random_cuts_and_resumes_give_the_same_bytes(settings: Settings):
    chance = random.Random(20261121)
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        words = [chance.choice(["a", "\n", "🌊", "\u2028", "data: x\n\n", "", "ß" * 50]) for _ in range(600)]

        async def speak() -> None:
            for word in words:
                await attempt.say(Text(word))
            await attempt.end(Completed("stop"))

        speaking = asyncio.create_task(speak())
        got: list[Heard] = []
        cuts = 0
        while not got or got[-1].type != "completed":
            async with stream(api, job_id, after=got[-1].id if got else None) as events:
                wanted = chance.randrange(6) if cuts < 200 else 10_000
                cuts += 1
                while wanted and (not got or got[-1].type != "completed"):
                    got.append(await events.next())
                    wanted -= 1
        await speaking
        assert cuts > 100
        assert [event for event in got if event.type != "queued"] == heard(attempt)
        await eventually(lambda: _has_readers(api, 0))


async def test_a_reader_that_lags_is_sent_to_the_log_and_misses_nothing(settings: Settings):
    limits = settings.limits.model_copy(update={"reader_queue": 2})
    async with served(settings.model_copy(update={"limits": limits})) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        async with stream(api, job_id) as events:
            await asyncio.gather(*(attempt.say(Text(str(number) * 2000)) for number in range(100)))
            await attempt.end(Completed("stop"))
            assert await events.rest() == heard(attempt)


async def test_a_client_that_does_not_read_is_cut_off_and_may_resume(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        host, port = api.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        head = f"GET /v2/jobs/{job_id}/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"started")
        for _ in range(20):
            await attempt.say(*(Text("x" * 32_000) for _ in range(32)))
        await eventually(lambda: _has_readers(api, 0), within=10)
        writer.close()
        await attempt.end(Completed("stop"))
        assert await all_events(api, job_id, after="1.600") == heard(attempt)[600:]


async def test_a_silent_stream_has_heartbeats(settings: Settings):
    clocks = settings.clocks.model_copy(update={"heartbeat": settings.clocks.idle_look * 2})
    async with served(settings.model_copy(update={"clocks": clocks})) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        await runner.begin(job_id)
        async with api.client.stream("GET", f"/v2/jobs/{job_id}/events", timeout=5) as response:
            raw = b""
            async for chunk in response.aiter_bytes():
                raw += chunk
                if raw.count(b": heartbeat\n\n") == 3:
                    break
        assert raw.startswith(b"retry: 2000\n: stream of job events\n\nid: 1.1\nevent: started\ndata: {")


async def test_a_server_that_drains_sends_its_readers_away_and_cancels_nothing(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api, on_disconnect="cancel")
        attempt = await runner.begin(job_id)
        async with api.client.stream("GET", f"/v2/jobs/{job_id}/events", timeout=5) as response:
            events = read(response)
            assert (await anext(events)).type == "started"
            api.front.hub.drain()
            assert [event async for event in events] == []
        refused = await api.client.get(f"/v2/jobs/{job_id}/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert "retry-after" in refused.headers
        await attempt.end(Completed("stop"))


async def test_a_job_whose_policy_is_cancel_is_cancelled_when_its_last_reader_leaves(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api, on_disconnect="cancel")
        other = await submit(api)
        await runner.begin(job_id)
        await runner.begin(other)
        async with stream(api, job_id) as second:
            async with stream(api, job_id) as first, stream(api, other) as third:
                for events in (first, second, third):
                    await events.next()
            await eventually(lambda: _has_readers(api, 1))
            assert (await api.client.get(f"/v2/jobs/{job_id}")).json()["cancel_requested_at"] is None
        await eventually(lambda: _is_asked_to_stop(api, job_id))
        assert (await api.client.get(f"/v2/jobs/{other}")).json()["cancel_requested_at"] is None


async def test_streams_of_an_owner_are_counted(settings: Settings):
    limits = settings.limits.model_copy(update={"streams_per_owner": 1})
    async with served(settings.model_copy(update={"limits": limits})) as api:
        job_id = await submit(api)
        async with stream(api, job_id) as events:
            await events.next()
            answer = await api.client.get(f"/v2/jobs/{job_id}/events")
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams")
            assert int(answer.headers["retry-after"]) > 0
        await eventually(lambda: _has_readers(api, 0))
        async with stream(api, job_id) as events:
            await events.next()


async def test_a_job_that_is_submitted_as_a_stream_is_answered_with_its_events(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        body = {"kind": "chat", "input": {"messages": [{"role": "user", "content": "?"}]}}
        request = api.client.stream("POST", "/v2/jobs", json=body, headers={"Accept": "text/event-stream"}, timeout=5)
        async with request as response:
            assert response.status_code == 200
            job_id = response.headers["location"].rpartition("/")[2]
            events = read(response)
            assert (await anext(events)).type == "queued"
            attempt = await runner.begin(job_id)
            await attempt.say(Text("!"))
            await attempt.end(Completed("stop"))
            assert [event async for event in events] == heard(attempt)


async def test_a_cancelled_running_job_ends_its_stream_with_the_receipt(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        async with stream(api, job_id) as events:
            await events.next()
            cancelling = asyncio.create_task(api.client.post(f"/v2/jobs/{job_id}/cancel"))
            await eventually(lambda: _is_asked_to_stop(api, job_id))
            await attempt.end(Cancelled(phase="before_first_delta", provider_stops_billing="yes"))
            assert await events.rest() == heard(attempt)[1:]
            answer = await cancelling
        assert answer.status_code == 200
        assert answer.json()["state"] == "cancelled"
        assert answer.json()["cancelled"] == {
            "phase": "before_first_delta",
            "provider_stops_billing": "yes",
            "usage": None,
        }


async def _has_readers(api: Served, count: int) -> bool:
    return api.front.hub.open_readers == count


async def _is_asked_to_stop(api: Served, job_id: str) -> bool:
    view = await api.front.reads.get(JobId(UUID(job_id)), None)
    return view is not None and view.cancel_requested_at is not None
