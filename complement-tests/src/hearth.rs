//! How hearth is started.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes hearth's configuration into `folder` and gives the command that serves it.
pub(crate) fn command(folder: &Path, name: &str, port: u16) -> Command {
    let config = folder.join("hearth.toml");
    let data = folder.join("data");
    let text = format!(
        r#"[server]
name = "{name}"
data_dir = "{data}"

[[listeners]]
bind = "127.0.0.1:{port}"

[registration]
enabled = true
allow_guests = true
shared_secret = "{secret}"

[rate_limits]
enabled = false

[logging]
filter = "warn"
"#,
        data = data.display(),
        secret = crate::server::SHARED_SECRET,
    );
    fs::write(&config, text).expect("the folder is ours");
    let mut command = Command::new(binary());
    command.arg("serve").arg("--config").arg(config).current_dir(folder);
    command
}

/// `HEARTH_BIN`, or the binary built next to the running test: `target/debug/hearth` for
/// `target/debug/deps/blackbox-…`.
fn binary() -> PathBuf {
    if let Some(binary) = env::var_os("HEARTH_BIN") {
        return binary.into();
    }
    let test = env::current_exe().expect("the test runs from a file");
    let profile = test.parent().and_then(Path::parent).expect("cargo puts tests into deps");
    let binary = profile.join("hearth");
    assert!(binary.exists(), "{} is missing: cargo build -p hearth", binary.display());
    binary
}
