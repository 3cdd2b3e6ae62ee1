//! How Synapse is installed and started, to hold our expectations against it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The version our expectations were checked against.
const PACKAGE: &str = "matrix-synapse==1.163.2";

/// Writes Synapse's configuration into `folder` and gives the command that serves it.
///
/// The rooms it makes by default are of version 12, as hearth's are.
pub(crate) fn command(folder: &Path, name: &str, port: u16) -> Command {
    let config = folder.join("homeserver.yaml");
    if !config.exists() {
        let seed = STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>());
        fs::write(folder.join("signing.key"), format!("ed25519 a_test {seed}\n"))
            .expect("the folder is ours");
        fs::write(folder.join("log.yaml"), LOG).expect("the folder is ours");
        fs::write(&config, configuration(folder, name, port)).expect("the folder is ours");
    }
    let mut command = Command::new(python());
    command.args(["-m", "synapse.app.homeserver", "-c"]).arg(config).current_dir(folder);
    command
}

const LOG: &str = "version: 1
formatters: {plain: {format: '%(asctime)s %(levelname)s %(name)s %(message)s'}}
handlers: {console: {class: logging.StreamHandler, formatter: plain}}
root: {level: WARNING, handlers: [console]}
disable_existing_loggers: false
";

fn configuration(folder: &Path, name: &str, port: u16) -> String {
    let limits = [
        "message",
        "registration",
        "registration_token_validity",
        "admin_redaction",
        "joins_per_room",
        "third_party_invite",
        "3pid_validation",
        "media_create",
        "presence:per_user",
        "key_requests",
        "reports",
        "room_creation",
        "delayed_event_mgmt",
    ]
    .map(|name| match name.split_once(':') {
        Some((outer, inner)) => format!("rc_{outer}: {{{inner}: {UNLIMITED}}}\n"),
        None => format!("rc_{name}: {UNLIMITED}\n"),
    })
    .concat();
    format!(
        r#"server_name: "{name}"
pid_file: "{folder}/homeserver.pid"
listeners:
  - {{port: {port}, bind_addresses: ['127.0.0.1'], type: http, tls: false, resources: [{{names: [client, federation]}}]}}
database: {{name: sqlite3, args: {{database: "{folder}/homeserver.db"}}}}
log_config: "{folder}/log.yaml"
signing_key_path: "{folder}/signing.key"
media_store_path: "{folder}/media"
macaroon_secret_key: "macaroons"
form_secret: "forms"
registration_shared_secret: "{secret}"
enable_registration: true
enable_registration_without_verification: true
allow_guest_access: true
login_via_existing_session: {{enabled: true, require_ui_auth: true}}
report_stats: false
trusted_key_servers: []
use_insecure_ssl_client_just_for_testing_do_not_use: true
ip_range_whitelist: ['127.0.0.1']
suppress_key_server_warning: true
bcrypt_rounds: 4
default_room_version: "12"
room_list_publication_rules: [{{action: allow}}]
max_event_delay_duration: 24h
experimental_features: {{msc2815_enabled: true, msc3874_enabled: true, msc4155_enabled: true, msc4306_enabled: true}}
caches: {{sync_response_cache_duration: 0s}}
{limits}rc_login: {{address: {UNLIMITED}, account: {UNLIMITED}, failed_attempts: {UNLIMITED}}}
rc_joins: {{local: {UNLIMITED}, remote: {UNLIMITED}}}
rc_invites: {{per_room: {UNLIMITED}, per_user: {UNLIMITED}, per_issuer: {UNLIMITED}}}
"#,
        folder = folder.display(),
        secret = crate::server::SHARED_SECRET,
    )
}

const UNLIMITED: &str = "{per_second: 100000, burst_count: 100000}";

/// The Python that has Synapse, in a virtual environment in the cache folder, made when missing.
fn python() -> PathBuf {
    let environment = cache().join("synapse");
    let python = environment.join("bin/python");
    let installed = environment.join(PACKAGE);
    if !installed.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]));
        fs::write(&installed, "").expect("the cache folder is ours");
    }
    python
}

fn cache() -> PathBuf {
    if let Some(folder) = env::var_os("HEARTH_CACHE") {
        return folder.into();
    }
    let caches = env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache"),
        PathBuf::from,
    );
    caches.join("hearth")
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?} ended with {status}");
}
