//! A list of rooms by sliding sync, as Element X asks for it.

use std::time::Instant;

use serde_json::{Value, json};

use crate::homeserver::{User, encode};
use crate::report::{Latencies, Row};
use crate::{Bench, Outcome, Sizes};

const PATH: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
/// A list is large: a hundredth of the repeats is enough of them.
const LIST_SHARE: usize = 100;
/// How many rooms the first request asks for.
const SCREEN: usize = 20;
/// How many more each of the next does.
const BATCH: usize = 100;

impl Bench {
    /// The first screen of a user in many rooms of many members, the whole list, and requests to which there is
    /// nothing to say.
    pub(crate) async fn sliding_list(&self) -> Outcome<Vec<Row>> {
        let user = self.villager.get_or_try_init(|| self.move_in()).await?;
        let mut user = user.lock().await;
        let Sizes { rooms, room_members, repeats, .. } = self.sizes;
        let lists = (repeats / LIST_SHARE).max(1);

        let stretch = self.meter.start()?;
        let mut first = Latencies::new();
        for number in 0..lists {
            let asked = Instant::now();
            user.slide(&format!("screen-{number}"), None, SCREEN).await?;
            first.record(asked.elapsed());
        }
        let name = format!("first {SCREEN} of {rooms} rooms of {room_members} by sliding sync");
        let mut rows = vec![self.meter.end(&name, &stretch, &first)?];

        let stretch = self.meter.start()?;
        let mut whole = Latencies::new();
        let (mut connection, mut pos) = (String::new(), String::new());
        for number in 0..lists {
            connection = format!("list-{number}");
            let asked = Instant::now();
            pos = user.slide(&connection, None, SCREEN).await?;
            for last in (SCREEN..rooms).step_by(BATCH) {
                pos = user.slide(&connection, Some(&pos), last + BATCH).await?;
            }
            whole.record(asked.elapsed());
        }
        rows.push(self.meter.end("that list to its end, in steps", &stretch, &whole)?);

        let stretch = self.meter.start()?;
        let mut nothing = Latencies::new();
        for _ in 0..repeats {
            let asked = Instant::now();
            pos = user.slide(&connection, Some(&pos), rooms).await?;
            nothing.record(asked.elapsed());
        }
        rows.push(self.meter.end("sliding sync of that list, nothing new", &stretch, &nothing)?);
        Ok(rows)
    }
}

impl User {
    /// Asks for the first `rooms` of a list and returns the position that the answer ends at.
    async fn slide(
        &mut self,
        connection: &str,
        pos: Option<&str>,
        rooms: usize,
    ) -> Outcome<String> {
        let state = [
            ["m.room.name", ""],
            ["m.room.avatar", ""],
            ["m.room.canonical_alias", ""],
            ["m.room.encryption", ""],
            ["m.room.power_levels", ""],
            ["m.room.join_rules", ""],
            ["m.room.tombstone", ""],
            ["m.room.create", ""],
            ["m.room.history_visibility", ""],
            ["m.room.member", "$LAZY"],
            ["m.room.member", "$ME"],
            ["m.space.child", "*"],
        ];
        let body = json!({
            "conn_id": connection,
            "lists": { "all_rooms": {
                "ranges": [[0, rooms.saturating_sub(1)]], "timeline_limit": 1, "required_state": state,
            } },
            "extensions": {
                "account_data": { "enabled": true },
                "receipts": { "enabled": true },
                "typing": { "enabled": true },
            },
        });
        let pos = pos.map(|pos| format!("&pos={}", encode(pos))).unwrap_or_default();
        let path = format!("{PATH}?timeout=0{pos}");
        let answer = self.call("POST", &path, body.to_string().as_bytes()).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        Ok(answer["pos"].as_str().ok_or("no position")?.to_owned())
    }
}
