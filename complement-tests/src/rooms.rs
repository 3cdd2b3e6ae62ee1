//! What most tests do in rooms, in one call each; all of it must succeed.

use serde_json::{Value, json};

use crate::{Client, encoded, unique};

/// Where what `tail` names is in a room.
pub fn room_path(room: &str, tail: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{tail}", encoded(room))
}

/// Where an event is sent with this transaction id.
pub fn send_path(room: &str, kind: &str, transaction: &str) -> String {
    room_path(room, &format!("send/{kind}/{transaction}"))
}

/// Where an event is redacted with this transaction id.
pub fn redact_path(room: &str, event: &str, transaction: &str) -> String {
    room_path(room, &format!("redact/{}/{transaction}", encoded(event)))
}

/// Where a piece of the room's state is.
pub fn state_path(room: &str, kind: &str, key: &str) -> String {
    room_path(room, &format!("state/{kind}/{}", encoded(key)))
}

impl Client {
    /// Makes a room that anyone can join; gives its id.
    pub async fn create_room(&self) -> String {
        self.create_room_with(&json!({ "preset": "public_chat" })).await
    }

    /// Makes a room; gives its id.
    pub async fn create_room_with(&self, body: &Value) -> String {
        let answer = self.post("/_matrix/client/v3/createRoom", body).await;
        text(&answer.expect_ok(), "room_id")
    }

    pub async fn join(&self, room: &str) {
        let path = room_path(room, "join");
        self.post(&path, &json!({})).await.expect_ok();
    }

    pub async fn leave(&self, room: &str) {
        let path = room_path(room, "leave");
        self.post(&path, &json!({})).await.expect_ok();
    }

    pub async fn invite(&self, room: &str, whom: &Self) {
        let path = room_path(room, "invite");
        self.post(&path, &json!({ "user_id": whom.user_id })).await.expect_ok();
    }

    /// Sends a text message; gives the event's id.
    pub async fn say(&self, room: &str, body: &str) -> String {
        self.send(room, "m.room.message", &json!({ "msgtype": "m.text", "body": body })).await
    }

    /// Sends an event; gives its id.
    pub async fn send(&self, room: &str, kind: &str, content: &Value) -> String {
        let path = send_path(room, kind, &unique("txn"));
        text(&self.put(&path, content).await.expect_ok(), "event_id")
    }

    /// Redacts an event; gives the redaction's id.
    pub async fn redact(&self, room: &str, event: &str) -> String {
        let path = redact_path(room, event, &unique("txn"));
        text(&self.put(&path, &json!({})).await.expect_ok(), "event_id")
    }

    /// The content of a piece of the room's state.
    pub async fn state(&self, room: &str, kind: &str, key: &str) -> Value {
        self.get(&state_path(room, kind, key)).await.expect_ok()
    }

    /// Sets a piece of the room's state; gives the event's id.
    pub async fn set_state(&self, room: &str, kind: &str, key: &str, content: &Value) -> String {
        let answer = self.put(&state_path(room, kind, key), content).await;
        text(&answer.expect_ok(), "event_id")
    }

    /// An event as this user sees it.
    pub async fn event(&self, room: &str, event: &str) -> Value {
        let path = room_path(room, &format!("event/{}", encoded(event)));
        self.get(&path).await.expect_ok()
    }
}

fn text(answer: &Value, key: &str) -> String {
    answer[key].as_str().unwrap_or_else(|| panic!("no {key} in {answer}")).to_owned()
}
