//! Reading with `/sync`.

use std::time::Duration;

use serde_json::Value;

use crate::{Client, encoded};

impl Client {
    /// Syncs with these query parameters.
    pub async fn sync_with(&self, query: &[(&str, &str)]) -> Value {
        let query: Vec<String> =
            query.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        let path = format!("/_matrix/client/v3/sync?{}", query.join("&"));
        self.get(&path).await.expect_ok()
    }

    /// Syncs from nothing.
    pub async fn sync(&self) -> Value {
        self.sync_with(&[("timeout", "0")]).await
    }

    /// What is new after `since`, a sync answer; does not wait.
    pub async fn sync_since(&self, since: &Value) -> Value {
        self.sync_with(&[("since", next_batch(since)), ("timeout", "0")]).await
    }

    /// Syncs from `since`, a sync answer, again and again until one answer satisfies `wanted`; gives it.
    ///
    /// What does not go through the room's timeline need not be visible the moment it was accepted.
    pub async fn sync_until(&self, since: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut seen = since.clone();
        let search = async {
            loop {
                let query = [("since", next_batch(&seen)), ("timeout", "5000")];
                let answer = self.sync_with(&query).await;
                if wanted(&answer) {
                    return answer;
                }
                seen = answer;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(10), search).await;
        found.unwrap_or_else(|_| panic!("{} saw nothing of the kind in 10 s", self.user_id))
    }
}

/// The timeline of a joined room in a sync answer; empty when the room is not in it.
pub fn timeline<'a>(sync: &'a Value, room: &str) -> &'a [Value] {
    sync["rooms"]["join"][room]["timeline"]["events"].as_array().map_or(&[], Vec::as_slice)
}

/// The ids of events, in their order.
pub fn event_ids(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event_id"].as_str()).collect()
}

fn next_batch(sync: &Value) -> &str {
    sync["next_batch"].as_str().unwrap_or_else(|| panic!("no next_batch in {sync}"))
}
