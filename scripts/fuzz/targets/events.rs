//! Any text as an event of any room version: read, checked, authorised, redacted.
//!
//! An input is the room version, a line break, and the event.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use protocol::auth::{auth_types, authorise, check_auth_events};
use protocol::power_levels::PowerLevels;
use protocol::receipt::Received;
use protocol::redaction::{may_redact, redact_json, redacted};
use protocol::{Pdu, room_version};
use ruma::events::StateEventType;
use ruma::{EventId, event_id};

fuzz_target!(|input: &str| {
    let Some((version, json)) = input.split_once('\n') else { return };
    let versions = room_version::supported();
    let Some(version) = versions.iter().find(|known| known.as_str() == version) else { return };
    let Some(rules) = room_version::rules(version) else { return };
    let _left = redact_json(json, &rules);
    let _received = Received::read(json, &rules);
    let Ok(event) = Pdu::from_json(json, event_id!("$0:hearth.test").to_owned(), &rules) else { return };
    let event = Arc::new(event);
    let state_key = event.state_key.as_deref();
    let _types = auth_types(&event.kind, &event.sender, state_key, &event.content, &rules);
    let _verdict = check_auth_events(&event, |_: &EventId| Some(Arc::clone(&event)), &rules);
    let state = |_: &StateEventType, _: &str| Some(Arc::clone(&event));
    let _verdict = authorise(&event, state, &rules);
    let levels = PowerLevels::new(Some(&event), Some(&event), &rules);
    may_redact(&event, &event, &levels, &rules);
    if let Ok(once) = redacted(&event, &rules) {
        let twice = redacted(&once, &rules).expect("what was redacted can be redacted");
        assert_eq!(once.content.get(), twice.content.get());
    }
});
