// A user of the SDK, signed in and syncing.

import { strict as assert } from "node:assert";
import { until } from "./steps.mjs";
import { createClient, ClientEvent, EventType, MatrixScheduler, SyncState } from "matrix-js-sdk";

export const BASE_URL = `http://127.0.0.1:${process.env.CLIENTS_PORT}`;
export const PASSWORD = "correct horse battery staple";
const SYNC_TIMEOUT_MS = 2_000;

/** Registers through user-interactive authentication: once to be told the flows, once with the dummy stage. */
export async function register(username) {
    const anonymous = createClient({ baseUrl: BASE_URL });
    const refused = await anonymous.registerRequest({ username, password: PASSWORD }).then(
        () => assert.fail("registered without authentication"),
        (error) => error,
    );
    if (refused.httpStatus !== 401) throw refused;
    assert.ok(
        refused.data.flows.some(({ stages }) => stages.length === 1 && stages[0] === "m.login.dummy"),
        `no dummy flow in ${JSON.stringify(refused.data)}`,
    );
    const auth = { type: "m.login.dummy", session: refused.data.session };
    const registered = await anonymous.registerRequest({ username, password: PASSWORD, auth });
    assert.match(registered.user_id, new RegExp(`^@${username}:`));
    assert.ok(registered.access_token);
    assert.ok(registered.device_id);
    return registered;
}

/** Logs in by password; the client does not sync yet. */
export async function login(username, password = PASSWORD) {
    const session = await createClient({ baseUrl: BASE_URL }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: username },
        password,
        initial_device_display_name: `${username}'s test`,
    });
    return createClient({
        baseUrl: BASE_URL,
        userId: session.user_id,
        accessToken: session.access_token,
        deviceId: session.device_id,
        scheduler: new MatrixScheduler((event, attempts, error) =>
            isLostRace(error) ? -1 : MatrixScheduler.RETRY_BACKOFF_RATELIMIT(event, attempts, error),
        ),
    });
}

/** Starts to sync and waits for the first answer. */
export async function follow(client, initialSyncLimit = 20) {
    await client.startClient({ initialSyncLimit, threadSupport: true, lazyLoadMembers: true, pollTimeout: SYNC_TIMEOUT_MS });
    await until("the first sync", () => client.isInitialSyncComplete());
    return client;
}

/** Waits for `count` further answers to /sync, however many failed before. */
export async function nextSync(client, count = 1) {
    let seen = 0;
    const listener = (state) => {
        if (state === SyncState.Syncing || state === SyncState.Prepared) seen += 1;
    };
    client.on(ClientEvent.Sync, listener);
    try {
        await until("a sync", () => seen >= count);
    } finally {
        client.off(ClientEvent.Sync, listener);
    }
}

/** The event in the live timeline or in a thread of the room, once it is there. */
export function seen(client, roomId, eventId) {
    return until(`${eventId} at ${client.getUserId()}`, () => client.getRoom(roomId)?.findEventById(eventId));
}

/** Every event of the room by /messages, newest first, asked for `limit` at a time. */
export async function history(client, roomId, limit) {
    const events = [];
    let from = null;
    for (let page = 0; page < 500; page += 1) {
        const answer = await client.createMessagesRequest(roomId, from, limit, "b");
        assert.ok(answer.chunk.length <= limit, `${answer.chunk.length} events in a page of ${limit}`);
        events.push(...answer.chunk);
        if (!answer.end) return events;
        assert.notEqual(answer.end, from, "the page's end is its start");
        from = answer.end;
    }
    return assert.fail("no end after 500 pages");
}

/** The event came back in /sync before the answer to its send, as it may: in threads the SDK takes that for an error. */
function isLostRace(error) {
    return /not a local echo/.test(error.message);
}

/** Sends a message and returns its ID; where the SDK lost its race, that of the same transaction. */
export async function send(client, roomId, content) {
    const transaction = client.makeTxnId();
    try {
        return (await client.sendEvent(roomId, null, EventType.RoomMessage, content, transaction)).event_id;
    } catch (error) {
        if (!isLostRace(error)) throw error;
        const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${transaction}`;
        return (await client.http.authedRequest("PUT", path, undefined, content)).event_id;
    }
}
