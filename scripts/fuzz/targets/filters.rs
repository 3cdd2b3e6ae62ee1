//! Any JSON as a filter, applied to any event.
//!
//! An input is the filter, a line break, and the event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{Pdu, room_version};
use ruma::api::client::filter::FilterDefinition;
use ruma::{RoomVersionId, event_id, room_id};
use sync::EventFilter;

fuzz_target!(|input: &str| {
    let Some((filter, event)) = input.split_once('\n') else { return };
    let Ok(filter) = serde_json::from_str::<FilterDefinition>(filter) else { return };
    let Some(rules) = room_version::rules(&RoomVersionId::V11) else { return };
    let Ok(event) = Pdu::from_json(event, event_id!("$0").to_owned(), &rules) else { return };
    let room = room_id!("!kitchen:hearth.test");
    for filter in [&filter.room.timeline, &filter.room.state, &filter.room.ephemeral, &filter.room.account_data] {
        EventFilter::new(filter, room).covers(&event);
    }
});
