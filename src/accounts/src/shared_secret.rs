//! Registration by whoever knows the shared secret, as Synapse's `register_new_matrix_user` does it.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use quick_cache::sync::Cache;
use ruma::MilliSecondsSinceUnixEpoch;
use sha1::Sha1;

use crate::{Accounts, NewDevice, NewUser, Registered, RegistrationError, Role, Secret, after};

/// How long a nonce is good.
const LIFETIME: Duration = Duration::from_mins(1);

/// How many nonces are remembered; the oldest end when there are more.
const MAX_NONCES: usize = 1000;

/// Nonces that were given out and not used.
#[derive(Debug)]
pub(crate) struct Nonces(Cache<String, MilliSecondsSinceUnixEpoch>);

impl Nonces {
    pub(crate) fn new() -> Self {
        Self(Cache::new(MAX_NONCES))
    }
}

/// What the tool sends.
#[derive(Debug, Clone)]
pub struct SharedSecretForm {
    /// The nonce it was given.
    pub nonce: String,
    /// The name of the new user.
    pub username: String,
    /// The password of the new user.
    pub password: Secret,
    /// The new user's role.
    pub role: Role,
    /// Synapse's kind of user. Part of what is signed, and of no other meaning here.
    pub user_type: Option<String>,
    /// The display name; `None`: the user name.
    pub display_name: Option<String>,
    /// HMAC-SHA1 of the above under the shared secret, in hexadecimal digits.
    pub mac: String,
}

impl SharedSecretForm {
    /// The form signed with the shared secret.
    pub fn signed(mut self, secret: &Secret) -> Result<Self, SharedSecretError> {
        let bytes = signature(secret, &self)?.finalize().into_bytes();
        let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.mac = digits.concat();
        Ok(self)
    }
}

/// Why nobody was registered.
#[derive(Debug, thiserror::Error)]
pub enum SharedSecretError {
    /// There is no shared secret.
    #[error("shared secret registration is not enabled")]
    Disabled,
    /// The nonce was never given out, is used or too old.
    #[error("the nonce is unknown")]
    UnknownNonce,
    /// A field holds a zero byte, which separates them in what is signed.
    #[error("the {0} holds a zero byte")]
    ZeroByte(&'static str),
    /// The form was not signed with the shared secret.
    #[error("the HMAC is incorrect")]
    WrongMac,
    /// The account could not be made.
    #[error("{0}")]
    Registration(#[from] RegistrationError),
}

impl Accounts {
    /// A nonce for one registration within a minute.
    pub fn shared_secret_nonce(&self) -> Result<String, SharedSecretError> {
        if self.settings().shared_secret.is_none() {
            return Err(SharedSecretError::Disabled);
        }
        let nonce = Secret::random("nonce", &mut rand::rng()).into_exposed();
        self.0.nonces.0.insert(nonce.clone(), after(self.now(), LIFETIME));
        Ok(nonce)
    }

    /// Registers and logs in whom the form names.
    pub async fn register_with_shared_secret(
        &self,
        form: SharedSecretForm,
    ) -> Result<Registered, SharedSecretError> {
        let secret = self.settings().shared_secret.as_ref().ok_or(SharedSecretError::Disabled)?;
        let known = self.0.nonces.0.remove(&form.nonce);
        if known.is_none_or(|(_, expires_at)| expires_at <= self.now()) {
            return Err(SharedSecretError::UnknownNonce);
        }
        let fields = [("user name", form.username.as_str()), ("password", form.password.expose())];
        if let Some((name, _)) = fields.iter().find(|(_, value)| value.contains('\0')) {
            return Err(SharedSecretError::ZeroByte(name));
        }
        let mac = decode_hex(&form.mac).ok_or(SharedSecretError::WrongMac)?;
        signature(secret, &form)?.verify_slice(&mac).map_err(|_| SharedSecretError::WrongMac)?;
        let mut user = NewUser::new(form.username)
            .password(form.password.into_exposed())
            .role(form.role)
            .log_in(NewDevice::default());
        if let Some(display_name) = form.display_name {
            user = user.display_name(display_name);
        }
        Ok(self.create_user(user).await?)
    }
}

/// The signature over a form, not finished.
fn signature(secret: &Secret, form: &SharedSecretForm) -> Result<Hmac<Sha1>, SharedSecretError> {
    let mut hmac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes())
        .map_err(|_| SharedSecretError::Disabled)?;
    let role = match form.role {
        Role::Admin => "admin",
        Role::User => "notadmin",
    };
    let fields = [form.nonce.as_str(), &form.username, form.password.expose(), role];
    for (index, field) in fields.into_iter().chain(form.user_type.as_deref()).enumerate() {
        if index > 0 {
            hmac.update(&[0]);
        }
        hmac.update(field.as_bytes());
    }
    Ok(hmac)
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Settings, testing::accounts_with};

    async fn accounts() -> Accounts {
        let shared_secret = Some(Secret::new("shared"));
        accounts_with(Settings { shared_secret, ..Settings::default() }).await.0
    }

    fn form(nonce: &str, mac: &str) -> SharedSecretForm {
        SharedSecretForm {
            nonce: nonce.to_owned(),
            username: "ada".to_owned(),
            password: Secret::new("secret"),
            role: Role::Admin,
            user_type: None,
            display_name: None,
            mac: mac.to_owned(),
        }
    }

    fn signed(nonce: &str, secret: &str) -> SharedSecretForm {
        form(nonce, "").signed(&Secret::new(secret)).unwrap()
    }

    #[test]
    fn the_signature_is_synapses() {
        // Computed with Python: hmac.new(b"shared", b"nonce\0ada\0secret\0admin", "sha1").
        let mac = decode_hex("c42e031d1bf24be07902ba5f861e9a8dea8dc87f").unwrap();
        let form = form("nonce", "");
        signature(&Secret::new("shared"), &form).unwrap().verify_slice(&mac).unwrap();
    }

    #[tokio::test]
    async fn whoever_knows_the_secret_registers_an_admin() {
        let accounts = accounts().await;
        let nonce = accounts.shared_secret_nonce().unwrap();
        let registered =
            accounts.register_with_shared_secret(signed(&nonce, "shared")).await.unwrap();
        let token = registered.session.unwrap().access_token;
        let session = accounts.authenticate(token.expose(), None).await.unwrap();
        assert_eq!(session.role, Role::Admin);
    }

    #[tokio::test]
    async fn a_nonce_is_good_once() {
        let accounts = accounts().await;
        let nonce = accounts.shared_secret_nonce().unwrap();
        let wrong = accounts.register_with_shared_secret(signed(&nonce, "guess")).await;
        assert!(matches!(wrong, Err(SharedSecretError::WrongMac)));
        let again = accounts.register_with_shared_secret(signed(&nonce, "shared")).await;
        assert!(matches!(again, Err(SharedSecretError::UnknownNonce)));
        let unknown = accounts.register_with_shared_secret(signed("made up", "shared")).await;
        assert!(matches!(unknown, Err(SharedSecretError::UnknownNonce)));
    }

    #[tokio::test]
    async fn a_mac_that_is_not_hexadecimal_is_wrong() {
        let accounts = accounts().await;
        for mac in ["", "0", "zz", "ü", "00"] {
            let nonce = accounts.shared_secret_nonce().unwrap();
            let outcome = accounts.register_with_shared_secret(form(&nonce, mac)).await;
            assert!(matches!(outcome, Err(SharedSecretError::WrongMac)), "{mac}");
        }
    }

    #[tokio::test]
    async fn without_a_secret_nobody_gets_a_nonce() {
        let (accounts, _) = accounts_with(Settings::default()).await;
        assert!(matches!(accounts.shared_secret_nonce(), Err(SharedSecretError::Disabled)));
    }
}
