"""Two users of matrix-nio: from registration to a server that was killed under them."""

import asyncio

from nio import LoginError, RoomPreset

from people import PASSWORD, Person, expect, refused, register
from steps import finish, need, server, step, until


def text(body, **more):
    return {"msgtype": "m.text", "body": body, **more}


def edit(event_id, body):
    new = {"m.new_content": text(body), "m.relates_to": {"rel_type": "m.replace", "event_id": event_id}}
    return text(f"* {body}", **new)


def annotation(event_id, key):
    return {"m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": key}}


def in_thread(event_id, body):
    relation = {"rel_type": "m.thread", "event_id": event_id, "is_falling_back": True}
    return text(body, **{"m.relates_to": {**relation, "m.in_reply_to": {"event_id": event_id}}})


class Conversation:
    """The steps, in order; each is a method, and what they learn for one another are the fields."""

    def __init__(self):
        self.ada = Person("ada-nio")
        self.bo = Person("bo-nio")
        self.lines = []
        self.acknowledged = {}
        self.sent_again = {}

    # --- Accounts

    async def registers(self):
        await register("ada-nio")
        await register("bo-nio")

    async def wrong_password(self):
        stranger = Person("ada-nio")
        response = await stranger.login(f"{PASSWORD}r")
        await stranger.close()
        assert isinstance(response, LoginError), repr(response)
        refused(response, "M_FORBIDDEN")

    async def logs_in(self):
        flows = expect(await self.ada.client.login_info()).flows
        assert "m.login.password" in flows, flows
        await self.ada.follow()
        await self.bo.follow()
        me = expect(await self.ada.client.whoami())
        assert (me.user_id, me.device_id) == (self.ada.client.user_id, self.ada.client.device_id)

    async def devices(self):
        devices = expect(await self.ada.client.devices()).devices
        mine = [device for device in devices if device.id == self.ada.client.device_id]
        assert len(devices) == 2 and mine[0].display_name == "ada-nio's test", devices

    async def display_name(self):
        expect(await self.ada.client.set_displayname("Ada"))
        profile = expect(await self.bo.client.get_profile(self.ada.client.user_id))
        assert profile.displayname == "Ada"

    # --- A room

    async def creates_room(self):
        created = expect(
            await self.ada.client.room_create(
                preset=RoomPreset.private_chat, name="Coffee", topic="Beans", alias="coffee-nio"
            )
        )
        self.ada.room = self.bo.room = created.room_id
        await until("the room", lambda: self.ada.nio_room() and self.ada.nio_room().name == "Coffee")
        assert self.ada.nio_room().topic == "Beans"

    async def alias(self):
        name = f"#coffee-nio:{self.ada.client.user_id.split(':', 1)[1]}"
        resolved = expect(await self.bo.client.room_resolve_alias(name))
        assert resolved.room_id == self.ada.room
        await until("the alias", lambda: self.ada.nio_room().canonical_alias == name)

    async def uninvited(self):
        refused(await self.bo.client.join(self.ada.room), "M_FORBIDDEN")

    async def invites(self):
        expect(await self.ada.client.room_invite(self.ada.room, self.bo.client.user_id))
        invited = await until("the invitation", lambda: self.bo.client.invited_rooms.get(self.bo.room))
        assert invited.name == "Coffee" and invited.inviter == self.ada.client.user_id

    async def joins(self):
        expect(await self.bo.client.join(self.bo.room))
        await until("the room", lambda: self.bo.nio_room() and self.bo.nio_room().name == "Coffee")
        await until("the join", lambda: self.bo.client.user_id in self.ada.nio_room().users)
        members = expect(await self.ada.client.joined_members(self.ada.room)).members
        assert {member.user_id for member in members} == {self.ada.client.user_id, self.bo.client.user_id}

    # --- Messages

    async def messages(self):
        self.hello = await self.ada.send(text("Grinding"))
        event = await until("the message", lambda: self.bo.seen(self.hello))
        assert event["content"]["body"] == "Grinding"
        self.answer = await self.bo.send(text("One cup"))
        event = await until("the answer", lambda: self.ada.seen(self.answer))
        assert event["sender"] == self.bo.client.user_id

    async def transaction(self):
        first = await self.ada.send(text("Once"), transaction="txn-once")
        assert await self.ada.send(text("Once"), transaction="txn-once") == first
        own = await until("it", lambda: self.ada.seen(first))
        assert own["unsigned"]["transaction_id"] == "txn-once"
        theirs = await until("it", lambda: self.bo.seen(first))
        assert "transaction_id" not in theirs.get("unsigned", {})

    async def edits(self):
        edited = await self.ada.send(edit(self.hello, "Ground"))
        event = await until("the edit", lambda: self.bo.seen(edited))
        assert event["content"]["m.new_content"]["body"] == "Ground"
        bundled = (await self.bo.fetch(self.hello))["unsigned"]["m.relations"]["m.replace"]
        assert bundled["event_id"] == edited

    async def reacts(self):
        self.reaction = await self.bo.send(annotation(self.hello, "☕"), "m.reaction")
        await until("the reaction", lambda: self.ada.seen(self.reaction))
        related = [event async for event in self.ada.client.room_get_event_relations(self.ada.room, self.hello)]
        assert self.reaction in [event.event_id for event in related], related

    async def threads(self):
        reply = await self.ada.send(in_thread(self.answer, "Sugar?"))
        await until("the reply", lambda: self.bo.seen(reply))
        bundled = (await self.bo.fetch(self.answer))["unsigned"]["m.relations"]["m.thread"]
        assert bundled["count"] == 1 and bundled["latest_event"]["event_id"] == reply, bundled
        roots = [root async for root in self.bo.client.room_get_threads(self.bo.room)]
        assert [root.event_id for root in roots] == [self.answer]

    async def redacts(self):
        self.gone = await self.ada.send(text("Decaf"))
        await until("the message", lambda: self.bo.seen(self.gone))
        redaction = expect(await self.ada.client.room_redact(self.ada.room, self.gone, reason="never"))
        await until("the redaction", lambda: self.bo.seen(redaction.event_id))
        left = await self.bo.fetch(self.gone)
        assert left["content"] == {}, left
        assert left["unsigned"]["redacted_because"]["event_id"] == redaction.event_id
        refused(await self.bo.client.room_redact(self.bo.room, self.hello), "M_FORBIDDEN")

    async def receipts(self):
        last = await self.ada.send(text("Ready"))
        await until("the message", lambda: self.bo.seen(last))
        await until("the count", lambda: self.bo.nio_room().unread_notifications > 0)
        expect(await self.bo.client.room_read_markers(self.bo.room, last, last))
        receipts = self.ada.nio_room().read_receipts
        await until("the receipt", lambda: getattr(receipts.get(self.bo.client.user_id), "event_id", None) == last)
        await until("the marker", lambda: self.bo.nio_room().fully_read_marker == last)
        await until("the count's fall", lambda: self.bo.nio_room().unread_notifications == 0)

    async def typing(self):
        expect(await self.bo.client.room_typing(self.bo.room, True, timeout=10_000))
        await until("the notice", lambda: self.bo.client.user_id in self.ada.nio_room().typing_users)
        expect(await self.bo.client.room_typing(self.bo.room, False))
        await until("its end", lambda: not self.ada.nio_room().typing_users)

    async def state(self):
        power = expect(await self.bo.client.room_get_state_event(self.bo.room, "m.room.power_levels"))
        assert power.content["state_default"] == 50
        refused(
            await self.bo.client.room_put_state(self.bo.room, "m.room.name", {"name": "Mine"}), "M_FORBIDDEN"
        )
        expect(await self.ada.client.update_room_topic(self.ada.room, "Beans, ground"))
        await until("the topic", lambda: self.bo.nio_room().topic == "Beans, ground")

    # --- History

    async def pagination(self):
        for line in range(40):
            self.lines.append(await self.ada.send(text(f"Line {line}")))
        small = [event["event_id"] for event in await self.bo.history(7)]
        large = await self.bo.history(100)
        assert small == [event["event_id"] for event in large]
        assert len(set(small)) == len(small)
        assert large[-1]["type"] == "m.room.create"
        assert [event_id for event_id in reversed(small) if event_id in self.lines] == self.lines

    async def context(self):
        around = expect(await self.bo.client.room_context(self.bo.room, self.lines[20], limit=4))
        assert around.event.event_id == self.lines[20]
        before = [event.event_id for event in around.events_before]
        after = [event.event_id for event in around.events_after]
        assert (before, after) == ([self.lines[19], self.lines[18]], [self.lines[21], self.lines[22]])

    async def sees_all(self):
        """What a client that knew nothing sees: the whole conversation as it now stands."""
        late = Person("bo-nio")
        late.room = self.bo.room
        await late.follow(limit=50)
        room = late.nio_room()
        assert (room.name, room.topic, room.member_count) == ("Coffee", "Beans, ground", 2)
        whole = await late.whole()
        events = {event["event_id"]: event for event in whole}
        assert len(events) == len(whole), "an event stands there twice"
        for event_id in [self.hello, self.answer, self.reaction, self.gone, *self.lines, *self.acknowledged.values()]:
            assert event_id in events, event_id
        assert events[self.gone]["content"] == {}
        relations = events[self.hello]["unsigned"]["m.relations"]
        assert relations["m.replace"]["content"]["m.new_content"]["body"] == "Ground"
        assert room.fully_read_marker == self.bo.nio_room().fully_read_marker
        expect(await late.client.logout())
        await late.close()

    # --- The server restarts

    async def restarts(self):
        await server("restart")

    async def goes_on(self):
        before = self.ada.syncs, self.bo.syncs
        await until("a sync", lambda: self.ada.syncs > before[0] and self.bo.syncs > before[1])
        back = await self.ada.send(text("Still hot"))
        await until("the message", lambda: self.bo.seen(back))
        reply = await self.bo.send(text("And black"))
        await until("the reply", lambda: self.ada.seen(reply))

    async def is_killed(self):
        """Sends from both with eight at a time, and kills the server after the 100th acknowledgement.

        What was under way is sent again by nio, as the same transaction, once the server is back.
        """
        enough, down = asyncio.Event(), asyncio.Event()

        async def talk(person, lane):
            number = 0
            while not enough.is_set():
                body = f"{person.client.user_id} says {lane}.{number}"
                event_id = await person.send(text(body), transaction=f"kill-{lane}-{number}")
                (self.sent_again if down.is_set() else self.acknowledged)[body] = event_id
                if len(self.acknowledged) >= 100:
                    enough.set()
                number += 1

        async def kill():
            await enough.wait()
            await server("kill")
            down.set()
            await server("start")

        await asyncio.gather(kill(), *(talk(person, lane) for person in (self.ada, self.bo) for lane in range(8)))
        assert len(self.acknowledged) >= 100

    async def nothing_lost(self):
        there = {}
        for event in await self.ada.history(100):
            there.setdefault(event["content"].get("body"), []).append(event["event_id"])
        for body, event_id in {**self.acknowledged, **self.sent_again}.items():
            assert there.get(body) == [event_id], (body, event_id, there.get(body))
            await until("the sync", lambda event_id=event_id: self.bo.seen(event_id))

    # --- Goodbye

    async def leaves(self):
        expect(await self.bo.client.room_leave(self.bo.room))
        await until("the leaving", lambda: self.bo.client.user_id not in self.ada.nio_room().users)
        assert self.bo.room not in expect(await self.bo.client.joined_rooms()).rooms
        refused(await self.bo.client.room_send(self.bo.room, "m.room.message", text("And")), "M_FORBIDDEN")

    async def logs_out(self):
        token = self.ada.client.access_token
        self.ada.syncing.cancel()
        expect(await self.ada.client.logout(all_devices=True))
        self.ada.client.access_token = token
        refused(await self.ada.client.whoami(), "M_UNKNOWN_TOKEN")


async def main():
    talk = Conversation()
    await need("register", talk.registers)
    await step("a wrong password is M_FORBIDDEN", talk.wrong_password)
    await need("log in by password and sync", talk.logs_in)
    await step("each login is a device of its own", talk.devices)
    await step("a display name reaches the profile", talk.display_name)
    await need("create a room", talk.creates_room)
    await step("an alias leads to it", talk.alias)
    await step("nobody joins uninvited", talk.uninvited)
    await need("invite", talk.invites)
    await need("join", talk.joins)
    await need("message both ways", talk.messages)
    await step("the same transaction gives the same event", talk.transaction)
    await step("edit", talk.edits)
    await step("react", talk.reacts)
    await step("thread reply", talk.threads)
    await step("redact", talk.redacts)
    await step("read receipt, read marker and unread count", talk.receipts)
    await step("typing", talk.typing)
    await step("state", talk.state)
    await step("paginate back to the room's creation", talk.pagination)
    await step("context", talk.context)
    await step("a first sync sees all", talk.sees_all)
    await need("asked to stop, the server ends and starts again", talk.restarts)
    await step("after the restart both go on in the same session", talk.goes_on)
    await step("after the restart a first sync sees all", talk.sees_all)
    await need("killed right after acknowledged sends, the server starts again", talk.is_killed)
    await step("everything acknowledged is there, once", talk.nothing_lost)
    await step("after the kill both go on in the same session", talk.goes_on)
    await step("after the kill a first sync sees all", talk.sees_all)
    await step("leave", talk.leaves)
    await step("log out everywhere", talk.logs_out)
    finish()


asyncio.run(main())
