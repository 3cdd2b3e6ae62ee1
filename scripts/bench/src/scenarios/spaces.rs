//! Walking through a space.

use std::time::Instant;

use serde_json::json;

use crate::homeserver::{User, encode};
use crate::report::{Latencies, Row};
use crate::{Bench, Outcome};

const ROOMS: usize = 500;
const PAGE: usize = 50;
/// Walks through the whole space.
const WALKS: usize = 10;

impl Bench {
    /// The hierarchy of a space of many rooms, page by page.
    pub(crate) async fn hierarchy(&self) -> Outcome<Vec<Row>> {
        let mut user = self.homeserver.user().await?;
        let space = space_of(&mut user, ROOMS).await?;
        let stretch = self.meter.start()?;
        let mut latencies = Latencies::new();
        for _ in 0..WALKS {
            let mut from = String::new();
            // A server that never ends is not followed for ever.
            for _ in 0..=ROOMS {
                let path =
                    format!("/_matrix/client/v1/rooms/{}/hierarchy?limit={PAGE}", encode(&space));
                let asked = Instant::now();
                let page = user.call("GET", &(path + &from), b"").await?;
                latencies.record(asked.elapsed());
                let page: serde_json::Value = serde_json::from_slice(&page)?;
                let Some(next) = page["next_batch"].as_str() else { break };
                from = format!("&from={}", encode(next));
            }
        }
        let name = format!("page of {PAGE} rooms of a space of {ROOMS}");
        Ok(vec![self.meter.end(&name, &stretch, &latencies)?])
    }
}

/// A space with `rooms` public rooms in it.
async fn space_of(user: &mut User, rooms: usize) -> Outcome<String> {
    let content = json!({ "type": "m.space" });
    let body = json!({ "preset": "public_chat", "name": "Village", "creation_content": content });
    let space = user.post("/createRoom", &body).await?;
    let space = space["room_id"].as_str().ok_or("no room_id")?.to_owned();
    for number in 0..rooms {
        let body = json!({ "preset": "public_chat", "name": format!("House {number}") });
        let room = user.post("/createRoom", &body).await?;
        let room = room["room_id"].as_str().ok_or("no room_id")?.to_owned();
        let path = format!("/rooms/{}/state/m.space.child/{}", encode(&space), encode(&room));
        let via = json!({ "via": ["bench.test"] }).to_string();
        user.request("PUT", &path, via.as_bytes()).await?;
    }
    Ok(space)
}
