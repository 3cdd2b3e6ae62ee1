"""matrix-nio's side of the room that both libraries meet in: js/together.mjs is the other side."""

import asyncio

from people import Person, expect, register
from steps import finish, need, step, until


def text(body, **more):
    return {"msgtype": "m.text", "body": body, **more}


async def main():
    me = Person("together-nio")

    async def registers():
        await register("together-nio")
        await me.follow()

    await need("together: register and log in", registers)
    peer = me.client.user_id.replace("together-nio", "together-js")

    def from_peer(test):
        return next((event for event in me.timeline() if event["sender"] == peer and test(event)), None)

    def said(body):
        return until(f"{body!r} from {peer}", lambda: from_peer(lambda event: event["content"].get("body") == body))

    async def is_invited():
        me.room = await until("the invitation", lambda: next(iter(me.client.invited_rooms), None))
        assert me.client.invited_rooms[me.room].inviter == peer
        expect(await me.client.join(me.room))
        await until("the room", lambda: me.nio_room() and me.nio_room().name == "Together")

    await need("together: join the other library's room", is_invited)

    async def talks():
        question = (await said("Who is there?"))["event_id"]
        answer = await me.send(text("Nio is"))
        edit = {"rel_type": "m.replace", "event_id": answer}
        await me.send(text("* matrix-nio is", **{"m.new_content": text("matrix-nio is"), "m.relates_to": edit}))
        reaction = {"rel_type": "m.annotation", "event_id": question, "key": "🚪"}
        await me.send({"m.relates_to": reaction}, "m.reaction")
        thread = {"rel_type": "m.thread", "event_id": question}
        await me.send(text("Come in", **{"m.relates_to": thread}))
        oops = await me.send(text("Oops"))
        expect(await me.client.room_redact(me.room, oops))
        return question, answer

    question, answer = await need("together: message, edit, react, reply and redact for the other", talks)

    async def sees_edit():
        event = await said("* matrix-js-sdk asks")
        assert event["content"]["m.relates_to"]["event_id"] == question
        assert (await me.fetch(question))["unsigned"]["m.relations"]["m.thread"]["count"] == 1

    async def sees_reaction():
        event = await until("the reaction", lambda: from_peer(lambda event: event["type"] == "m.reaction"))
        assert event["content"]["m.relates_to"]["event_id"] == answer

    async def sees_redaction():
        event = await until("the redaction", lambda: from_peer(lambda event: event["type"] == "m.room.redaction"))
        target = event["content"].get("redacts") or event["redacts"]
        assert (await me.fetch(target))["content"] == {}

    async def leaves():
        await said("Bye")
        await me.send(text("Bye"))
        expect(await me.client.room_leave(me.room))

    await step("together: see the other's edit", sees_edit)
    await step("together: see the other's reaction", sees_reaction)
    await step("together: see the other's redaction", sees_redaction)
    await step("together: say goodbye and leave", leaves)
    finish()


asyncio.run(main())
