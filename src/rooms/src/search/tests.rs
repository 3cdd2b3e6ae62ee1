use serde_json::json;
use store::{LocalEvents, Removal, RoomDeletion, TaskSubject, Work};

use super::*;
use crate::testing::{ada, bo, public_room, rooms_on_memory_store, say, send};
use crate::{Message, PurgeUntil};

async fn search_in(rooms: &Rooms) -> Search {
    let search = Search::open(rooms.clone(), None).unwrap();
    let running = search.clone();
    tokio::spawn(async move { running.run().await });
    search
}

fn wanted(term: &str) -> Wanted<'_> {
    Wanted {
        reader: ada(),
        term,
        keys: SearchKey::ALL.to_vec(),
        rooms: None,
        senders: None,
        order: Order::Recent,
        limit: 10,
        next: None,
    }
}

async fn found(search: &Search, term: &str) -> Vec<String> {
    let findings = search.find(wanted(term), |_| true).await.unwrap();
    findings.results.iter().map(|found| found.placed.1.pdu.event_id.to_string()).collect()
}

#[tokio::test]
async fn what_was_sent_is_found_at_once_by_who_may_see_it() {
    let rooms = rooms_on_memory_store().await;
    let search = search_in(&rooms).await;
    let room = public_room(&rooms).await;
    let tea = say(&rooms, &room, "Tea is ready").await;

    assert_eq!(found(&search, "tea").await, [tea.as_str()]);
    assert!(found(&search, "cake").await.is_empty());
    let of_bo = Wanted { reader: bo(), ..wanted("tea") };
    assert!(search.find(of_bo, |_| true).await.unwrap().results.is_empty());
}

#[tokio::test]
async fn an_edit_is_found_in_place_of_what_it_replaced() {
    let rooms = rooms_on_memory_store().await;
    let search = search_in(&rooms).await;
    let room = public_room(&rooms).await;
    let message = say(&rooms, &room, "coffee").await;
    let edit = json!({
        "msgtype": "m.text", "body": "* tea",
        "m.new_content": { "msgtype": "m.text", "body": "tea" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": message },
    });
    send(&rooms, &room, ada(), "edit", edit).await.unwrap();

    assert_eq!(found(&search, "tea").await, [message.as_str()]);
    assert!(found(&search, "coffee").await.is_empty());
}

#[tokio::test]
async fn an_index_catches_up_with_what_it_missed() {
    let rooms = rooms_on_memory_store().await;
    let room = public_room(&rooms).await;
    let mut said = Vec::new();
    for number in 0..450 {
        said.push(say(&rooms, &room, &format!("tea {number}")).await);
    }
    let search = search_in(&rooms).await;

    let findings = search.find(wanted("tea"), |_| true).await.unwrap();

    assert_eq!(findings.count, 450);
    assert_eq!(findings.results[0].placed.1.pdu.event_id, said[449]);
}

#[tokio::test]
async fn an_index_of_another_store_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    for word in ["tea", "cake"] {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        say(&rooms, &room, word).await;
        let search = Search::open(rooms, Some(folder.path())).unwrap();
        let running = search.clone();
        let running = tokio::spawn(async move { running.run().await });

        assert_eq!(found(&search, word).await.len(), 1);
        assert_eq!(found(&search, "tea").await.len(), usize::from(word == "tea"));
        running.abort();
        let _ = running.await;
    }
}

#[tokio::test]
async fn a_damaged_index_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("meta.json"), "nonsense").unwrap();
    let rooms = rooms_on_memory_store().await;
    let room = public_room(&rooms).await;
    say(&rooms, &room, "tea").await;
    let search = Search::open(rooms, Some(folder.path())).unwrap();
    let running = search.clone();
    tokio::spawn(async move { running.run().await });

    assert_eq!(found(&search, "tea").await.len(), 1);
}

/// How many events of any room the index finds, whether they are still there or not.
async fn indexed(search: &Search, term: &str) -> usize {
    search.wait_for_news().await;
    let question = search.question(&wanted(term), phrases(term)).await.unwrap().unwrap();
    search.ask(&question, 1_000).await.unwrap().len()
}

#[tokio::test]
async fn what_is_removed_leaves_the_index() {
    let rooms = rooms_on_memory_store().await;
    let search = search_in(&rooms).await;
    let worker = rooms.clone();
    tokio::spawn(async move { worker.work().await });
    let (room, other) = (public_room(&rooms).await, public_room(&rooms).await);
    let mut said = Vec::new();
    for number in 0..10 {
        said.push(say(&rooms, &room, &format!("tea {number}")).await);
    }
    say(&rooms, &other, "tea elsewhere").await;
    assert_eq!(indexed(&search, "tea").await, 11);

    let until = PurgeUntil::Event(&said[6]);
    let purge = rooms.order_history_purge(&room, until, LocalEvents::Remove).await.unwrap();
    rooms.task_ended(&purge).await.unwrap();
    assert_eq!(indexed(&search, "tea").await, 5);

    let content = json!({});
    let redaction = Message {
        sender: ada(),
        device_id: "PHONE".into(),
        transaction_id: "redaction",
        kind: &ruma::events::TimelineEventType::RoomRedaction,
        content: &crate::create::raw(&content),
        redacts: Some(&said[9]),
    };
    rooms.send_message(&room, redaction).await.unwrap();
    assert_eq!(indexed(&search, "tea").await, 4);

    let deletion = RoomDeletion {
        successor: None,
        removal: Removal::WhenEmpty,
        kicked: Vec::new(),
        failed: Vec::new(),
        aliases: Vec::new(),
        new_room: None,
    };
    let subject = TaskSubject::Room(other);
    let deletion = rooms.order(subject, Work::Deletion(deletion)).await.unwrap();
    rooms.task_ended(&deletion).await.unwrap();
    // The last event that the index knew is gone, and still it is an index of this store.
    let progress = search.progress().await.unwrap();
    assert_ne!(progress, Progress::NONE);
    assert_eq!(indexed(&search, "tea").await, 3);
}

#[test]
fn words_between_quotation_marks_belong_together() {
    assert_eq!(
        phrases("green \"Hot tea\" don't"),
        [
            vec!["green".to_owned()],
            vec!["hot".to_owned(), "tea".to_owned()],
            vec!["don".to_owned(), "t".to_owned()],
        ]
    );
    assert!(phrases(" \"\" ?!").is_empty());
    assert_eq!(phrases(&"a ".repeat(1_000)).len(), MAX_WORDS);
}
