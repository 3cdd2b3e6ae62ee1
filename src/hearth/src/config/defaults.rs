//! What is set where nothing is said.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use api::Resource;
use ruma::{RoomVersionId, server_name};

use super::{
    EngineKind, Limits, Listener, Listeners, LogFormat, Logging, Outgoing, Presence, Publishers,
    Rooms, Server, ServerNotices, Sessions, Storage, public_resources,
};

impl Default for Server {
    fn default() -> Self {
        let name = server_name!("localhost").to_owned();
        Self { name, data_dir: "data".into(), client_base_url: None }
    }
}

impl Default for Listeners {
    fn default() -> Self {
        let mut resources = public_resources();
        resources.push(Resource::Metrics);
        let bind = SocketAddr::from(([127, 0, 0, 1], 8008));
        Self(vec![Listener { bind, resources, trusted_proxies: Vec::new() }])
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            access_token_seconds: Duration::from_hours(1),
            login_tokens: true,
            login_token_seconds: Duration::from_mins(2),
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self { filter: "info,ruma_state_res=warn".to_owned(), format: LogFormat::default() }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { engine: EngineKind::default(), cache_bytes: 32 * 1024 * 1024 }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            default_version: RoomVersionId::V12,
            redacted_retention_seconds: Duration::from_hours(7 * 24),
            publishers: Publishers::default(),
            forget_on_leave: false,
            max_event_delay_seconds: Duration::from_hours(24),
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for ServerNotices {
    fn default() -> Self {
        Self {
            enabled: true,
            localpart: "_server".to_owned(),
            display_name: "Server notices".to_owned(),
            room_name: "Server notices".to_owned(),
        }
    }
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            allowed_private_networks: Vec::new(),
            trusted_certificates: Vec::new(),
            timeout_seconds: Duration::from_secs(10),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: NonZeroUsize::new(1024 * 1024).expect("a megabyte is not nothing"),
            body_seconds: Duration::from_secs(30),
            request_seconds: Duration::from_mins(1),
            connections: NonZeroUsize::new(4096).expect("4096 is not nothing"),
            connections_per_address: NonZeroUsize::new(1024).expect("1024 is not nothing"),
            idle_seconds: Duration::from_mins(3),
            shutdown_seconds: Duration::from_secs(20),
        }
    }
}
