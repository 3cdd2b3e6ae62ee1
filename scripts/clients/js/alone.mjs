// Two users of matrix-js-sdk: from registration to a server that was killed under them.

import { strict as assert } from "node:assert";
import { finish, need, server, step, until } from "./steps.mjs";
import { PASSWORD, follow, history, login, nextSync, register, seen, send } from "./people.mjs";
import { EventStatus, EventType, MsgType, Preset, RelationType } from "matrix-js-sdk";

const text = (body, more = {}) => ({ msgtype: MsgType.Text, body, ...more });

let ada, bo, roomId;

const said = (client, content) => send(client, roomId, content);

// --- Accounts

await need("register by user-interactive authentication", async () => {
    await register("ada-js");
    await register("bo-js");
});

await step("a taken name is M_USER_IN_USE", async () => {
    await assert.rejects(register("ada-js"), { errcode: "M_USER_IN_USE", httpStatus: 400 });
});

await step("a wrong password is M_FORBIDDEN", async () => {
    await assert.rejects(login("ada-js", `${PASSWORD}r`), { errcode: "M_FORBIDDEN", httpStatus: 403 });
});

await need("log in by password and sync", async () => {
    ada = await follow(await login("ada-js"));
    bo = await follow(await login("bo-js"));
    const me = await ada.whoami();
    assert.equal(me.user_id, ada.getUserId());
    assert.equal(me.device_id, ada.getDeviceId());
});

await step("each login is a device of its own", async () => {
    const { devices } = await ada.getDevices();
    assert.equal(devices.length, 2);
    const mine = devices.find((device) => device.device_id === ada.getDeviceId());
    assert.equal(mine.display_name, "ada-js's test");
});

await step("a display name reaches the profile", async () => {
    await ada.setDisplayName("Ada");
    assert.equal((await bo.getProfileInfo(ada.getUserId())).displayname, "Ada");
});

// --- A room

await need("create a room with an invitation", async () => {
    const room = await ada.createRoom({
        preset: Preset.PrivateChat,
        name: "Tea",
        topic: "Leaves and water",
        invite: [bo.getUserId()],
    });
    roomId = room.room_id;
    await until("the room at its creator", () => ada.getRoom(roomId)?.name === "Tea");
});

await step("the invitation arrives with the room's name", async () => {
    const room = await until("the invitation", () => bo.getRoom(roomId));
    await until("the membership", () => room.getMyMembership() === "invite");
    assert.equal(room.currentState.getStateEvents(EventType.RoomName, "").getContent().name, "Tea");
    assert.equal(room.getMember(bo.getUserId()).events.member.getSender(), ada.getUserId());
});

await need("join", async () => {
    await bo.joinRoom(roomId);
    await until("the membership", () => bo.getRoom(roomId).getMyMembership() === "join");
    await until("the join at the other side", () => ada.getRoom(roomId).getMember(bo.getUserId())?.membership === "join");
    assert.equal(ada.getRoom(roomId).getJoinedMemberCount(), 2);
});

await step("state arrives with the join", async () => {
    const state = bo.getRoom(roomId).currentState;
    await until("the topic", () => state.getStateEvents(EventType.RoomTopic, "")?.getContent().topic === "Leaves and water");
    assert.ok(state.getStateEvents(EventType.RoomCreate, ""));
    assert.ok(state.getStateEvents(EventType.RoomPowerLevels, ""));
});

await step("a stranger may neither read nor join", async () => {
    await register("eve-js");
    const eve = await login("eve-js");
    await assert.rejects(eve.joinRoom(roomId), { errcode: "M_FORBIDDEN" });
    await assert.rejects(eve.roomState(roomId), { errcode: "M_FORBIDDEN" });
    await assert.rejects(eve.sendTextMessage(roomId, "hello"), { errcode: "M_FORBIDDEN" });
});

// --- Messages

let hello, answer;
await need("message both ways", async () => {
    hello = await said(ada, text("Kettle is on"));
    assert.equal((await seen(bo, roomId, hello)).getContent().body, "Kettle is on");
    answer = await said(bo, text("Two cups"));
    assert.equal((await seen(ada, roomId, answer)).getSender(), bo.getUserId());
});

await step("a sender's own event comes back once, with its transaction", async () => {
    await nextSync(ada);
    const own = ada.getRoom(roomId).timeline.filter((event) => event.getContent().body === "Kettle is on");
    assert.equal(own.length, 1);
    assert.equal(own[0].getId(), hello);
    assert.ok(own[0].getUnsigned().transaction_id);
});

await step("the same transaction gives the same event", async () => {
    const first = await ada.sendMessage(roomId, text("Once"), "txn-once");
    const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/txn-once`;
    const again = await ada.http.authedRequest("PUT", path, undefined, text("Once"));
    assert.equal(again.event_id, first.event_id);
});

await step("edit", async () => {
    await said(ada, {
        ...text("* Kettle is off"),
        "m.new_content": text("Kettle is off"),
        "m.relates_to": { rel_type: RelationType.Replace, event_id: hello },
    });
    const original = await seen(bo, roomId, hello);
    await until("the edit", () => original.getContent().body === "Kettle is off");
    const fetched = await bo.fetchRoomEvent(roomId, hello);
    assert.equal(fetched.unsigned["m.relations"]["m.replace"].content["m.new_content"].body, "Kettle is off");
});

let reaction;
await step("react", async () => {
    const content = { "m.relates_to": { rel_type: RelationType.Annotation, event_id: hello, key: "🍵" } };
    reaction = (await bo.sendEvent(roomId, EventType.Reaction, content)).event_id;
    const relations = await until("the reaction", () =>
        ada.getRoom(roomId).relations.getChildEventsForEvent(hello, RelationType.Annotation, EventType.Reaction),
    );
    const [[key, senders]] = relations.getSortedAnnotationsByKey();
    assert.equal(key, "🍵");
    assert.deepEqual([...senders].map((event) => event.getSender()), [bo.getUserId()]);
    const fetched = await ada.relations(roomId, hello, RelationType.Annotation, EventType.Reaction);
    assert.deepEqual(fetched.events.map((event) => event.getId()), [reaction]);
});

await step("the same reaction again is refused", async () => {
    const content = { "m.relates_to": { rel_type: RelationType.Annotation, event_id: hello, key: "🍵" } };
    await assert.rejects(bo.sendEvent(roomId, EventType.Reaction, content), { errcode: "M_DUPLICATE_ANNOTATION" });
});

let inThread;
await step("thread reply", async () => {
    const relation = { rel_type: "m.thread", event_id: answer, is_falling_back: true, "m.in_reply_to": { event_id: answer } };
    inThread = await said(ada, text("Milk in one?", { "m.relates_to": relation }));
    const thread = await until("the thread", () => bo.getRoom(roomId).getThread(answer));
    await until("the reply in it", () => thread.length === 1 && thread.replyToEvent?.getId() === inThread);
    const root = await bo.fetchRoomEvent(roomId, answer);
    const bundled = root.unsigned["m.relations"]["m.thread"];
    assert.equal(bundled.count, 1);
    assert.equal(bundled.latest_event.event_id, inThread);
    assert.equal(bundled.current_user_participated, true);
    const threads = await bo.createThreadListMessagesRequest(roomId, null, 10);
    assert.deepEqual(threads.chunk.map((event) => event.event_id), [answer]);
});

let gone;
await step("redact", async () => {
    gone = await said(ada, text("Salt, please"));
    const there = await seen(bo, roomId, gone);
    await ada.redactEvent(roomId, gone, undefined, { reason: "sugar" });
    await until("the redaction", () => there.isRedacted());
    assert.equal(there.getContent().body, undefined);
    const fetched = await bo.fetchRoomEvent(roomId, gone);
    assert.deepEqual(fetched.content, {});
    assert.equal(fetched.unsigned.redacted_because.sender, ada.getUserId());
});

await step("another's message cannot be redacted without the power to", async () => {
    await assert.rejects(bo.redactEvent(roomId, hello), { errcode: "M_FORBIDDEN" });
});

await step("read receipts and unread counts, of the room and of its thread", async () => {
    const last = await said(ada, text("Are you there?"));
    const event = await seen(bo, roomId, last);
    const room = bo.getRoom(roomId);
    await until("the room's count", () => room.getRoomUnreadNotificationCount("total") > 0);
    await until("the thread's count", () => room.getThreadUnreadNotificationCount(answer, "total") === 1);
    await bo.sendReadReceipt(event);
    await until("the receipt", () => ada.getRoom(roomId).hasUserReadEvent(bo.getUserId(), last));
    await until("the fall of the room's count", () => room.getRoomUnreadNotificationCount("total") === 0);
    assert.equal(room.getThreadUnreadNotificationCount(answer, "total"), 1);
    await bo.sendReadReceipt(await seen(bo, roomId, inThread));
    await until("the fall of the thread's count", () => room.getUnreadNotificationCount("total") === 0);
});

await step("typing", async () => {
    await bo.sendTyping(roomId, true, 10_000);
    const member = ada.getRoom(roomId).getMember(bo.getUserId());
    await until("the notice", () => member.typing);
    await bo.sendTyping(roomId, false, 0);
    await until("its end", () => !member.typing);
});

await step("account data and tags", async () => {
    await ada.setRoomTag(roomId, "m.favourite", { order: 0.5 });
    await until("the tag", () => ada.getRoom(roomId).tags["m.favourite"]?.order === 0.5);
});

// --- History

/** Fills the room's timeline back to its creation, ten events at a time. */
async function toTheStart(client, room) {
    for (let turn = 0; turn < 100 && room.oldState.paginationToken; turn += 1) await client.scrollback(room, 10);
    assert.equal(room.timeline[0].getType(), EventType.RoomCreate);
}

const lines = [];
await step("paginate back to the room's creation", async () => {
    for (let line = 0; line < 40; line += 1) lines.push(await said(ada, text(`Line ${line}`)));
    const late = await follow(await login("ada-js"), 5);
    const room = late.getRoom(roomId);
    assert.ok(room.timeline.length < 40, `${room.timeline.length} events with a limit of 5`);
    await toTheStart(late, room);
    const order = room.timeline.map((event) => event.getId());
    assert.equal(new Set(order).size, order.length, "an event stands there twice");
    assert.deepEqual(order.filter((id) => lines.includes(id)), lines);
    assert.equal(room.findEventById(hello).getContent().body, "Kettle is off");
    late.stopClient();
});

await step("pages have no gap and no overlap", async () => {
    const small = (await history(bo, roomId, 7)).map((event) => event.event_id);
    const large = (await history(bo, roomId, 100)).map((event) => event.event_id);
    assert.deepEqual(small, large);
    assert.equal(new Set(small).size, small.length);
});

/** What a client that knew nothing sees: the whole conversation as it now stands. */
async function seesAll(username) {
    const late = await follow(await login(username), 50);
    const room = late.getRoom(roomId);
    await toTheStart(late, room);
    assert.equal(room.name, "Tea");
    const body = (id) => room.findEventById(id)?.getContent().body;
    await until("the edit", () => body(hello) === "Kettle is off");
    assert.equal(room.findEventById(gone).isRedacted(), true);
    assert.ok(room.relations.getChildEventsForEvent(hello, RelationType.Annotation, EventType.Reaction));
    await until("the thread", () => room.getThread(answer)?.length === 1);
    assert.deepEqual(lines.map((id) => body(id)), lines.map((_, line) => `Line ${line}`));
    assert.equal(room.tags["m.favourite"]?.order, late.getUserId() === ada.getUserId() ? 0.5 : undefined);
    late.stopClient();
}

await step("a first sync sees all", () => seesAll("bo-js"));

// --- The server restarts

await need("asked to stop, the server ends and starts again", () => server("restart"));

await step("after the restart both go on in the same session", async () => {
    await Promise.all([nextSync(ada, 2), nextSync(bo, 2)]);
    const back = await said(ada, text("Still warm"));
    assert.equal((await seen(bo, roomId, back)).getContent().body, "Still warm");
    const reply = await said(bo, text("And full"));
    await seen(ada, roomId, reply);
});

await step("after the restart a first sync sees all", () => seesAll("ada-js"));

/**
 * Sends from both until `enough` are acknowledged, kills the server with sends under way, and returns the
 * acknowledged event ids with their bodies, and what was sent without an answer.
 */
async function killUnderLoad(enough) {
    const acknowledged = new Map();
    const unanswered = new Map();
    let killed;
    const talk = async (client) => {
        for (let n = 0; !killed; n += 1) {
            const body = `${client.getUserId()} says ${n}`;
            try {
                const { event_id: id } = await client.sendMessage(roomId, text(body), `kill-${n}`);
                acknowledged.set(id, body);
            } catch {
                unanswered.set(body, client);
            }
            if (acknowledged.size >= enough) killed ??= server("kill");
        }
    };
    await Promise.all([talk(ada), talk(bo)]);
    await killed;
    return { acknowledged, unanswered };
}

let load;
await need("killed right after acknowledged sends, the server starts again", async () => {
    load = await killUnderLoad(60);
    assert.ok(load.acknowledged.size >= 60);
    await server("start");
});

await step("everything acknowledged is there, once", async () => {
    const there = (await history(ada, roomId, 50)).filter((event) => event.type === EventType.RoomMessage);
    for (const [id, body] of load.acknowledged) {
        const found = there.filter((event) => event.content.body === body);
        assert.deepEqual(found.map((event) => event.event_id), [id], body);
    }
});

await step("what was not acknowledged is sent again and stands there once", async () => {
    for (const [body, client] of load.unanswered) {
        const room = client.getRoom(roomId);
        const pending = room.getLiveTimeline().getEvents().find((event) => event.getContent().body === body && event.status === EventStatus.NOT_SENT);
        if (pending) await client.resendEvent(pending, room);
    }
    const there = (await history(ada, roomId, 50)).map((event) => event.content.body);
    for (const body of load.unanswered.keys()) assert.equal(there.filter((other) => other === body).length, 1, body);
});

await step("after the kill both go on in the same session", async () => {
    await Promise.all([nextSync(ada, 2), nextSync(bo, 2)]);
    const back = await said(bo, text("What was that?"));
    assert.equal((await seen(ada, roomId, back)).getContent().body, "What was that?");
    for (const id of load.acknowledged.keys()) await seen(bo, roomId, id);
});

await step("after the kill a first sync sees all", async () => {
    const late = await follow(await login("bo-js"), 5);
    const room = late.getRoom(roomId);
    await toTheStart(late, room);
    const bodies = room.timeline.map((event) => event.getContent().body);
    for (const body of load.acknowledged.values()) assert.ok(bodies.includes(body), body);
    late.stopClient();
});

// --- Goodbye

await step("leave", async () => {
    await bo.leave(roomId);
    await until("the leaving", () => ada.getRoom(roomId).getMember(bo.getUserId())?.membership === "leave");
    await assert.rejects(bo.sendTextMessage(roomId, "one more thing"), { errcode: "M_FORBIDDEN" });
});

await step("log out", async () => {
    bo.stopClient();
    await bo.logout();
    await assert.rejects(bo.whoami(), { errcode: "M_UNKNOWN_TOKEN", httpStatus: 401 });
    assert.ok((await ada.whoami()).user_id);
});

ada.stopClient();
finish();
