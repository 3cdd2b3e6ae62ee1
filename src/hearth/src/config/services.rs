//! Settings as services take them.

use federation::outgoing::Policy;
use protocol::push::LegacyMentions;

use super::{EngineKind, Limits, Outgoing, Publishers, Push, Rooms};

impl From<EngineKind> for store::EngineKind {
    fn from(kind: EngineKind) -> Self {
        match kind {
            EngineKind::Memory => Self::Memory,
            EngineKind::Sled => Self::Sled,
            EngineKind::Fjall => Self::Fjall,
        }
    }
}

impl From<&Rooms> for rooms::Settings {
    fn from(rooms: &Rooms) -> Self {
        let publishers = match rooms.publishers {
            Publishers::Moderators => rooms::Publishers::Moderators,
            Publishers::Administrators => rooms::Publishers::Administrators,
        };
        let after_leaving =
            if rooms.forget_on_leave { store::Forgotten::Yes } else { store::Forgotten::No };
        let default_version = rooms.default_version.clone();
        Self { default_version, publishers, after_leaving, ..Self::default() }
    }
}

impl From<&Push> for LegacyMentions {
    fn from(push: &Push) -> Self {
        if push.legacy_mentions { Self::Found } else { Self::Ignored }
    }
}

/// The most bytes that are read of another server's answer.
const LARGEST_ANSWER: usize = 1024 * 1024;

impl From<&Outgoing> for Policy {
    fn from(outgoing: &Outgoing) -> Self {
        Self {
            allowed_private_networks: outgoing.allowed_private_networks.clone(),
            trusted_certificates: outgoing.trusted_certificates.clone(),
            timeout: outgoing.timeout_seconds,
            largest_answer: LARGEST_ANSWER,
        }
    }
}

impl From<&Limits> for api::Limits {
    fn from(limits: &Limits) -> Self {
        Self {
            body_bytes: limits.body_bytes.get(),
            body_timeout: limits.body_seconds,
            request_timeout: limits.request_seconds,
        }
    }
}
