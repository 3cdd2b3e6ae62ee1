//! Lists of what relates to an event. Spec: client-server API, "Querying events that relate to an event".

use complement_tests::{encoded, event_ids, room_path, synapse_departs_from};
use serde_json::json;

use super::{MESSAGE, edit, kitchen, reaction, related, relations_path, thread_reply};

#[tokio::test]
async fn relations_are_listed_newest_first_and_by_kind() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let first = bo.send(&room, "m.reaction", &reaction(&message, "👍")).await;
    let second = bo.send(&room, MESSAGE, &thread_reply(&message, "yes")).await;
    let third = ada.send(&room, MESSAGE, &edit(&message, "Tea")).await;

    let all = related(&ada, &relations_path(&room, &message, "")).await;
    assert_eq!(all, [third.clone(), second.clone(), first.clone()]);
    let forwards = related(&ada, &relations_path(&room, &message, "?dir=f")).await;
    assert_eq!(forwards, [first.clone(), second.clone(), third.clone()]);
    for (tail, wanted) in [
        ("/m.annotation", &first),
        ("/m.thread", &second),
        ("/m.replace", &third),
        ("/m.annotation/m.reaction", &first),
        ("/m.thread/m.room.message", &second),
    ] {
        assert_eq!(
            &related(&ada, &relations_path(&room, &message, tail)).await,
            std::slice::from_ref(wanted)
        );
    }
    let none =
        related(&ada, &relations_path(&room, &message, "/m.annotation/m.room.message")).await;
    assert!(none.is_empty());
}

#[tokio::test]
async fn relations_are_read_page_by_page() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let mut sent = Vec::new();
    for key in ["1", "2", "3", "4", "5"] {
        sent.insert(0, bo.send(&room, "m.reaction", &reaction(&message, key)).await);
    }

    let (mut read, mut from) = (Vec::new(), String::new());
    for _ in 0..5 {
        let path = relations_path(&room, &message, &format!("?limit=2{from}"));
        let page = ada.get(&path).await.expect_ok();
        read.extend(event_ids(page["chunk"].as_array().unwrap()).iter().map(ToString::to_string));
        match page["next_batch"].as_str() {
            Some(next) => from = format!("&from={}", encoded(next)),
            None => break,
        }
    }

    assert_eq!(read, sent);
}

#[tokio::test]
async fn relations_are_closed_to_outsiders_and_of_unknown_events() {
    let (ada, _, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let message = ada.say(&room, "tea").await;
    for tail in ["", "/m.annotation", "/m.annotation/m.reaction"] {
        if !synapse_departs_from(
            "404: The parent event was not found or you do not have permission to read this event",
        ) {
            let answer = cy.get(&relations_path(&room, &message, tail)).await;
            answer.expect_error(404, "M_NOT_FOUND");
        }
        let answer = ada.get(&relations_path(&room, "$nothing", tail)).await;
        answer.expect_error_of(&[(404, "M_NOT_FOUND"), (404, "M_UNKNOWN")]);
    }
}

/// Spec: `GET /rooms/{roomId}/relations/{eventId}`, `recurse`: at least three levels.
#[tokio::test]
async fn relations_are_followed_if_asked_for() {
    let (ada, bo, room) = kitchen().await;
    let root = ada.say(&room, "root").await;
    let reply = bo.send(&room, MESSAGE, &thread_reply(&root, "ys")).await;
    let edited = bo.send(&room, MESSAGE, &edit(&reply, "yes")).await;
    let liked = ada.send(&room, "m.reaction", &reaction(&reply, "👍")).await;
    let later = ada.send(&room, MESSAGE, &thread_reply(&root, "fine")).await;

    let direct = ada.get(&relations_path(&room, &root, "")).await.expect_ok();
    assert_eq!(event_ids(direct["chunk"].as_array().unwrap()), [later.as_str(), &reply]);
    assert!(direct.get("recursion_depth").is_none(), "{direct}");

    let all = ada.get(&relations_path(&room, &root, "?recurse=true")).await.expect_ok();
    let found = event_ids(all["chunk"].as_array().unwrap());
    assert_eq!(found, [later.as_str(), &liked, &edited, &reply]);
    assert!(all["recursion_depth"].as_u64() >= Some(3), "{all}");
    let path = relations_path(&room, &root, "/m.annotation?recurse=true");
    assert_eq!(related(&ada, &path).await, std::slice::from_ref(&liked));

    let first =
        ada.get(&relations_path(&room, &root, "?recurse=true&limit=2&dir=f")).await.expect_ok();
    assert_eq!(event_ids(first["chunk"].as_array().unwrap()), [reply.as_str(), &edited]);
    let from = encoded(first["next_batch"].as_str().expect("there is more"));
    let path = relations_path(&room, &root, &format!("?recurse=true&dir=f&from={from}"));
    assert_eq!(related(&ada, &path).await, [liked, later]);
}

/// Spec: MSC3874.
#[tokio::test]
async fn history_is_filtered_by_relation() {
    let (ada, _, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let reply = ada.send(&room, MESSAGE, &thread_reply(&opener, "yes")).await;
    let edited = ada.send(&room, MESSAGE, &edit(&opener, "Tea?")).await;
    for (filter, wanted) in [
        (json!({ "org.matrix.msc3874.rel_types": ["m.thread"] }), vec![&reply]),
        (
            json!({ "org.matrix.msc3874.rel_types": ["m.thread", "m.replace"] }),
            vec![&edited, &reply],
        ),
        (
            json!({ "org.matrix.msc3874.not_rel_types": ["m.thread"], "types": [MESSAGE] }),
            vec![&edited, &opener],
        ),
    ] {
        let tail = format!("messages?dir=b&limit=50&filter={}", encoded(&filter.to_string()));
        assert_eq!(
            related(&ada, &room_path(&room, &tail)).await.iter().collect::<Vec<_>>(),
            wanted
        );
    }
}
