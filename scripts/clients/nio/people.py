"""A user of matrix-nio, signed in and syncing, with what came by /sync kept in order."""

import asyncio
import logging
import os

from nio import (
    AsyncClient,
    AsyncClientConfig,
    ErrorResponse,
    LoginResponse,
    MessageDirection,
    RegisterResponse,
    SyncResponse,
)

BASE_URL = f"http://127.0.0.1:{os.environ['CLIENTS_PORT']}"
PASSWORD = "correct horse battery staple"
SYNC_TIMEOUT_MS = 2_000
# While the server is away every request is tried again, with its transaction id.
CONFIG = AsyncClientConfig(backoff_factor=0.1, max_timeout_retry_wait_time=1)

# It warns of each answer that is an error, which is what some steps ask for.
logging.getLogger("nio").setLevel(logging.CRITICAL)


def expect(response):
    """The response, which must not be an error's."""
    assert not isinstance(response, ErrorResponse), repr(response)
    return response


def refused(response, errcode):
    assert isinstance(response, ErrorResponse), repr(response)
    assert response.status_code == errcode, repr(response)


async def register(username):
    client = AsyncClient(BASE_URL, username, config=CONFIG)
    response = await client.register(username, PASSWORD)
    await client.close()
    assert isinstance(response, RegisterResponse), repr(response)
    assert response.user_id.startswith(f"@{username}:")
    assert response.access_token and response.device_id


class Person:
    """One session. `events` are the timeline's events of `room` by /sync, as their JSON, oldest first."""

    def __init__(self, username):
        self.client = AsyncClient(BASE_URL, username, config=CONFIG)
        self.syncs = 0
        self.events = []
        self.gaps = {}
        self.room = None
        self.syncing = None

    async def login(self, password=PASSWORD):
        return await self.client.login(password, device_name=f"{self.client.user}'s test")

    async def follow(self, limit=20):
        """Logs in, if that was not done, and syncs in the background."""
        if not self.client.logged_in:
            assert isinstance(await self.login(), LoginResponse)
        timeline_limit = {"room": {"timeline": {"limit": limit}}}
        first = expect(await self.client.sync(sync_filter=timeline_limit, full_state=True))
        self.gaps = {room_id: room.timeline.prev_batch for room_id, room in first.rooms.join.items() if room.timeline.limited}
        await self._synced(first)
        self.client.add_response_callback(self._synced, SyncResponse)
        # Sixteen send at a time: with the usual ten events an answer, a slow machine would leave some out.
        all_events = {"room": {"timeline": {"limit": 100}}}
        following = self.client.sync_forever(SYNC_TIMEOUT_MS, sync_filter=all_events, since=first.next_batch)
        self.syncing = asyncio.create_task(following)
        return self

    async def _synced(self, response):
        self.syncs += 1
        for room_id, room in response.rooms.join.items():
            self.events += [(room_id, event.source) for event in room.timeline.events]

    def timeline(self):
        return [source for room_id, source in self.events if room_id == self.room]

    def seen(self, event_id):
        return next((source for source in self.timeline() if source["event_id"] == event_id), None)

    def nio_room(self):
        return self.client.rooms.get(self.room)

    async def send(self, content, event_type="m.room.message", transaction=None):
        response = expect(await self.client.room_send(self.room, event_type, content, tx_id=transaction))
        return response.event_id

    async def fetch(self, event_id):
        return expect(await self.client.room_get_event(self.room, event_id)).event.source

    async def history(self, limit, start=None):
        """Events of the room by /messages, before `start` or all, as JSON, newest first, asked for `limit` at a time."""
        events = []
        for _ in range(500):
            page = expect(
                await self.client.room_messages(
                    self.room, start, direction=MessageDirection.back, limit=limit
                )
            )
            assert len(page.chunk) <= limit, len(page.chunk)
            events += [event.source for event in page.chunk]
            if page.end is None:
                return events
            assert page.end != start
            start = page.end
        raise AssertionError("no end after 500 pages")

    async def whole(self):
        """The room's events by /sync, the first answer's gap filled by /messages."""
        gap = self.gaps.get(self.room)
        earlier = await self.history(100, gap) if gap else []
        return [*reversed(earlier), *self.timeline()]

    async def close(self):
        if self.syncing:
            self.syncing.cancel()
        await self.client.close()
