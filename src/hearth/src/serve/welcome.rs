//! What somebody who just started the server wants to know.

use std::net::SocketAddr;

use crate::{
    config::{Config, EngineKind},
    data_dir::DataDir,
};

/// Says on standard output where the server is and what to do next.
pub(super) fn print(config: &Config, data: &DataDir) {
    println!("{}", text(config, data));
}

fn text(config: &Config, data: &DataDir) -> String {
    let urls: Vec<String> = config.listeners.0.iter().map(|one| url(one.bind)).collect();
    let kept = match config.storage.engine {
        EngineKind::Memory => "in memory: everything is gone when the server stops".to_owned(),
        EngineKind::Sled => format!("{} (sled)", data.path().display()),
        EngineKind::Fjall => format!("{} (fjall)", data.path().display()),
    };
    format!(
        "hearth {version} serves {name}\n\
         \x20 address   {urls}\n\
         \x20 data      {kept}\n\
         \x20 next      make a user with `hearth user create NAME`, then log in with any Matrix client\n\
         \x20           whose homeserver is the address above; config.example.toml has all settings",
        version = env!("CARGO_PKG_VERSION"),
        name = config.server.name,
        urls = urls.join(", "),
    )
}

/// An address as a URL; one that stands for all addresses is reached as localhost.
fn url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}
