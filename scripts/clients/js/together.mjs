// matrix-js-sdk's side of the room that both libraries meet in: nio/together.py is the other side.

import { strict as assert } from "node:assert";
import { finish, need, step, until } from "./steps.mjs";
import { follow, login, register, seen, send } from "./people.mjs";
import { EventType, MsgType, Preset, RelationType } from "matrix-js-sdk";

const text = (body, more = {}) => ({ msgtype: MsgType.Text, body, ...more });

let ada, roomId;
await need("together: register and log in", async () => {
    await register("together-js");
    ada = await follow(await login("together-js"));
});
const peer = ada.getUserId().replace("together-js", "together-nio");
const said = (body) =>
    until(`"${body}" from ${peer}`, () =>
        ada.getRoom(roomId).timeline.find((event) => event.getSender() === peer && event.getContent().body === body),
    );

await need("together: invite the other library's user", async () => {
    await until("the other user", () => ada.getProfileInfo(peer));
    const room = await ada.createRoom({ preset: Preset.PrivateChat, name: "Together", invite: [peer] });
    roomId = room.room_id;
    await until("the join", () => ada.getRoom(roomId)?.getMember(peer)?.membership === "join");
});

let question;
await need("together: message both ways", async () => {
    question = await send(ada, roomId, text("Who is there?"));
    // As it was first said: the edit may come with it.
    await until("the answer", () =>
        ada.getRoom(roomId).timeline.find((event) => event.getSender() === peer && event.getOriginalContent().body === "Nio is"),
    );
});

await step("together: see the other's edit", async () => {
    await said("matrix-nio is");
});

await step("together: see the other's reaction", async () => {
    const relations = await until("the reaction", () =>
        ada.getRoom(roomId).relations.getChildEventsForEvent(question, RelationType.Annotation, EventType.Reaction),
    );
    assert.deepEqual(relations.getRelations().map((event) => event.getSender()), [peer]);
});

await step("together: see the other's thread reply", async () => {
    const thread = await until("the thread", () => ada.getRoom(roomId).getThread(question));
    await until("the reply", () => thread.replyToEvent?.getContent().body === "Come in");
    assert.equal(thread.length, 1);
});

await step("together: see the other's redaction", async () => {
    await until("the redaction", () => ada.getRoom(roomId).timeline.some((event) => event.getSender() === peer && event.isRedacted()));
});

await step("together: edit, react, reply and redact for the other", async () => {
    const other = ada.getRoom(roomId).timeline.find((event) => event.getSender() === peer && event.replacingEvent()).getId();
    await send(ada, roomId, {
        ...text("* matrix-js-sdk asks"),
        "m.new_content": text("matrix-js-sdk asks"),
        "m.relates_to": { rel_type: RelationType.Replace, event_id: question },
    });
    await ada.sendEvent(roomId, EventType.Reaction, {
        "m.relates_to": { rel_type: RelationType.Annotation, event_id: other, key: "👋" },
    });
    const oops = await send(ada, roomId, text("Oops"));
    await seen(ada, roomId, oops);
    await ada.redactEvent(roomId, oops);
    await send(ada, roomId, text("Bye"));
});

await step("together: the other says goodbye and leaves", async () => {
    await said("Bye");
    await until("the leaving", () => ada.getRoom(roomId).getMember(peer)?.membership === "leave");
});

ada.stopClient();
finish();
