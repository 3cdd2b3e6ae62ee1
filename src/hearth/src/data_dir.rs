//! The folder of everything the server keeps.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use accounts::Secret;
use protocol::SigningKey;
use rand::{RngExt, distr::Alphanumeric};

use crate::{config::Config, failure::Failure};

/// The data folder, which is there and ours alone.
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// Opens the folder, or makes it so that other users of the machine cannot look into it.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let refused = || Failure::because(format!("cannot use the data folder {}", path.display()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(refused())?;
        Ok(Self(path.canonicalize().map_err(refused())?))
    }

    /// The folder's absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The key that signs this server's events, made when there is none yet.
    pub(crate) fn signing_key(&self) -> Result<SigningKey, Failure> {
        let text = self.kept("signing.key", || SigningKey::generate(&mut rand::rng()).to_text())?;
        let path = self.0.join("signing.key");
        SigningKey::from_text(&text)
            .map_err(Failure::because(format!("cannot use {}", path.display())))
    }

    /// The configured shared secret; without one, a random one that whoever can read this folder knows.
    pub(crate) fn shared_secret(&self, config: &Config) -> Result<Secret, Failure> {
        let random = || rand::rng().sample_iter(Alphanumeric).take(40).map(char::from).collect();
        let secret = match &config.registration.shared_secret {
            Some(secret) => secret.expose().to_owned(),
            None => self.kept("registration.secret", random)?,
        };
        Ok(Secret::new(secret))
    }

    /// The first line of a file that only we can read; `make` says what stands in it when it is not there.
    fn kept(&self, name: &str, make: impl FnOnce() -> String) -> Result<String, Failure> {
        let path = self.0.join(name);
        let refused = || Failure::because(format!("cannot use {}", path.display()));
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().next().unwrap_or_default().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = make();
                write_new(&path, &text).map_err(refused())?;
                Ok(text)
            }
            Err(error) => Err(refused()(error)),
        }
    }
}

/// Writes a file that is there whole or not at all, also after a power cut.
fn write_new(path: &Path, line: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&unfinished)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_signing_key_is_made_once_and_readable_by_us_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("a/b")).unwrap();

        let first = data.signing_key().unwrap();
        let again = data.signing_key().unwrap();

        assert_eq!(first.to_text(), again.to_text());
        let mode = fs::metadata(data.path().join("signing.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_signing_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        fs::write(data.path().join("signing.key"), "nonsense").unwrap();

        let failure = data.signing_key().err().unwrap().to_string();

        assert!(failure.contains("signing.key"), "{failure}");
        let kept = fs::read_to_string(data.path().join("signing.key")).unwrap();
        assert_eq!(kept, "nonsense");
    }
}
