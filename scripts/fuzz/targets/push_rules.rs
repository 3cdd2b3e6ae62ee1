//! Any JSON as push rules, asked about any event.
//!
//! An input is the rules, a line break, and the event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::power_levels::PowerLevels;
use protocol::push::{
    LegacyMentions, PushEvent, PushRoom, Reader, ThreadStanding, default_rules,
    distinguished_members, evaluate,
};
use protocol::{Pdu, room_version};
use ruma::push::Ruleset;
use ruma::{RoomVersionId, event_id, user_id};

fuzz_target!(|input: &str| {
    let Some((rules, event)) = input.split_once('\n') else { return };
    let ada = user_id!("@ada:hearth.test");
    let rules = serde_json::from_str::<Ruleset>(rules)
        .unwrap_or_else(|_| default_rules(ada, LegacyMentions::Found));
    let Some(version) = room_version::rules(&RoomVersionId::V11) else { return };
    let Ok(event) = Pdu::from_json(event, event_id!("$0").to_owned(), &version) else { return };
    let levels = PowerLevels::new(None, None, &version);
    let room = PushRoom { members: distinguished_members(&rules).min(2), levels: &levels };
    let reader = Reader { user: ada, display_name: Some("Ada"), thread: ThreadStanding::Outside };
    let outcome = evaluate(&rules, &PushEvent::new(&event), room, reader);
    assert!(outcome.notify || !outcome.highlight, "what does not notify does not stand out");
});
