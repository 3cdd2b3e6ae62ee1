//! Durations as whole seconds, at least one.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let seconds = NonZeroU32::deserialize(from)?;
    Ok(Duration::from_secs(u64::from(seconds.get())))
}

pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    time.as_secs().serialize(to)
}
