//! What an event costs in processor time: `cargo bench -p protocol`. Prints microseconds per call.

use std::{hint::black_box, time::Instant};

use protocol::{
    Depth, Pdu, SigningKey,
    auth::authorise,
    event_builder::{EventTemplate, build},
    power_levels::PowerLevels,
    push::{LegacyMentions, PushEvent, PushRoom, Reader, ThreadStanding, default_rules, evaluate},
    receipt::{Received, Validity, VerifyKey, VerifyKeys},
    room_version,
};
use ruma::{
    MilliSecondsSinceUnixEpoch, RoomVersionId, UInt,
    events::{StateEventType, TimelineEventType},
    owned_event_id, owned_user_id,
    serde::Base64,
    server_name, user_id,
};
use serde_json::{json, value::RawValue};

fn measure<T>(what: &str, rounds: u32, mut call: impl FnMut() -> T) {
    for _ in 0..rounds / 10 {
        black_box(call());
    }
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(call());
    }
    println!("{what:40} {:8.2} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
}

fn template(
    kind: TimelineEventType,
    state_key: Option<&str>,
    content: &serde_json::Value,
) -> EventTemplate {
    let content = RawValue::from_string(content.to_string()).expect("JSON was just written");
    let mut template = EventTemplate::new(None, owned_user_id!("@ada:hearth.test"), kind, content);
    template.state_key = state_key.map(ToOwned::to_owned);
    template.prev_events = vec![owned_event_id!("$previous0000000000000000000000000000000000")];
    template.auth_events = vec![owned_event_id!("$member00000000000000000000000000000000000"); 2];
    template.depth = Depth::new(5_000);
    template
}

fn main() {
    let version = RoomVersionId::V12;
    let rules = room_version::rules(&version).expect("version 12 is served");
    let key = SigningKey::from_seed([1; 32], "1".to_owned()).expect("the version is a digit");
    let sign = |template: EventTemplate| {
        build(template, &version, key.key_pair(), server_name!("hearth.test"))
            .expect("the event is sound")
    };
    let mut create =
        template(TimelineEventType::RoomCreate, Some(""), &json!({ "room_version": "12" }));
    create.prev_events.clear();
    create.auth_events.clear();
    let create = sign(create).0;
    let in_room = |kind: TimelineEventType,
                   state_key: Option<&str>,
                   content: &serde_json::Value| EventTemplate {
        room_id: Some(create.room_id.clone()),
        ..template(kind, state_key, content)
    };
    let ada = "@ada:hearth.test";
    let member =
        sign(in_room(TimelineEventType::RoomMember, Some(ada), &json!({ "membership": "join" }))).0;
    let users: serde_json::Value =
        (0..20).map(|n| (format!("@user{n}:hearth.test"), json!(50))).collect();
    let levels = json!({ "users": users, "events": { "m.room.name": 50, "m.room.topic": 50 } });
    let levels = sign(in_room(TimelineEventType::RoomPowerLevels, Some(""), &levels)).0;
    let body = json!({ "msgtype": "m.text", "body": "A message of a usual length, as people write it.", "m.mentions": {} });
    let message = in_room(TimelineEventType::RoomMessage, None, &body);
    let (pdu, json) = sign(message.clone());
    println!(
        "a message of {} bytes, power levels of {} bytes",
        json.len(),
        levels.content.get().len()
    );

    measure("build (hash, sign, id)", 20_000, || sign(message.clone()));
    measure("parse stored JSON", 50_000, || Pdu::from_json(&json, pdu.event_id.clone(), &rules));
    let state = |kind: &StateEventType, _: &str| match kind {
        StateEventType::RoomCreate => Some(create.clone()),
        StateEventType::RoomMember => Some(member.clone()),
        StateEventType::RoomPowerLevels => Some(levels.clone()),
        _ => None,
    };
    authorise(&pdu, state, &rules).expect("the message is allowed");
    measure("authorise a message", 50_000, || authorise(&pdu, state, &rules));
    measure("read power levels", 50_000, || PowerLevels::new(Some(&levels), Some(&create), &rules));
    let verify_key = VerifyKey {
        key: Base64::parse(key.public_key()).expect("the key was just encoded"),
        validity: Validity::Until(MilliSecondsSinceUnixEpoch(UInt::MAX)),
    };
    let keys = VerifyKeys::from([(
        server_name!("hearth.test").to_owned(),
        [("ed25519:1".to_owned(), verify_key)].into(),
    )]);
    measure("receive (read and verify)", 10_000, || {
        Received::read(&json, &rules).map(|r| r.verify(&keys))
    });
    let levels = PowerLevels::new(Some(&levels), Some(&create), &rules);
    measure("read an event for push", 50_000, || PushEvent::new(&pdu));
    let (event, bo) = (PushEvent::new(&pdu), user_id!("@bo:hearth.test"));
    let push_rules = default_rules(bo, LegacyMentions::Ignored);
    let reader = Reader { user: bo, display_name: Some("Bo"), thread: ThreadStanding::Outside };
    measure("evaluate the default push rules", 50_000, || {
        evaluate(&push_rules, &event, PushRoom { members: 5, levels: &levels }, reader).notify
    });
}
