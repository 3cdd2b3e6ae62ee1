//! Guests, who have an account without having registered one. Spec: client-server API, "Guest Access".

use ruma::UserId;
use store::{Batch, StoreError, UserKind, UserRecord};

use crate::{
    ATTEMPTS, Accounts, AfterRegistration, AuthenticationError, Guests, NewDevice, NewSession,
    NewUser, Registered, RegistrationError, Secret, Session, registration::new_username,
};

impl Accounts {
    /// Makes a guest's account and logs its only device in.
    pub async fn create_guest(&self, device: NewDevice) -> Result<NewSession, RegistrationError> {
        if self.settings().guests == Guests::Refused {
            return Err(RegistrationError::NoGuests);
        }
        let guest = NewUser::new(new_username()).guest().log_in(device);
        let registered = self.create_user(guest).await?;
        registered.session.ok_or(RegistrationError::Store(StoreError::Conflict))
    }

    /// The guest who wants to keep their account, told by an access token; the user name must be theirs.
    pub(crate) async fn guest_to_register(
        &self,
        username: Option<&str>,
        token: &Secret,
    ) -> Result<Session, RegistrationError> {
        let session = match self.authenticate(token.expose(), None).await {
            Ok(session) => session,
            Err(AuthenticationError::UnknownToken | AuthenticationError::Expired) => {
                return Err(RegistrationError::NotThatGuest);
            }
            Err(AuthenticationError::Store(error)) => return Err(error.into()),
        };
        let named = username == Some(session.user_id.localpart());
        if !named || session.kind != UserKind::Guest || session.restrictions.locked {
            return Err(RegistrationError::NotThatGuest);
        }
        Ok((*session).clone())
    }

    /// Makes a guest's account a registered one. What the guest was in, they stay in; their session goes on.
    pub(crate) async fn register_guest(
        &self,
        guest: &Session,
        password: Secret,
        registration_token: Option<String>,
        then: AfterRegistration,
    ) -> Result<Registered, RegistrationError> {
        let hash = self.0.passwords.hash(password.expose()).await?;
        for _ in 0..ATTEMPTS {
            let before = self.store().user(guest.user).await?;
            let before = before.filter(|record| record.kind == UserKind::Guest);
            let before = before.ok_or(RegistrationError::NotThatGuest)?;
            let after = UserRecord {
                password_hash: Some(hash.clone()),
                kind: UserKind::Registered,
                ..before.clone()
            };
            let mut batch = Batch::new();
            batch.change_user(guest.user, &before, &after)?;
            if let Some(token) = &registration_token
                && !self.use_registration_token(&mut batch, token).await?
            {
                return Err(RegistrationError::TokenUsedUp);
            }
            match self.store().commit(batch).await {
                Ok(_) => return self.after_registration(guest, then).await,
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn after_registration(
        &self,
        guest: &Session,
        then: AfterRegistration,
    ) -> Result<Registered, RegistrationError> {
        let user_id: &UserId = &guest.user_id;
        tracing::info!(%user_id, "guest registered");
        let session = match then {
            AfterRegistration::LogIn(device) => {
                Some(self.start_session(guest.user, user_id, device).await?)
            }
            AfterRegistration::Nothing => None,
        };
        Ok(Registered { user_id: user_id.to_owned(), session })
    }
}

#[cfg(test)]
mod tests {
    use ruma::api::client::uiaa::{AuthData, Dummy};

    use super::*;
    use crate::{
        Registration, RegistrationForm, Settings,
        testing::{accounts, accounts_with},
    };

    fn form(username: &str, token: &Secret) -> RegistrationForm {
        RegistrationForm {
            username: Some(username.to_owned()),
            password: Some(Secret::new("secret")),
            auth: Some(AuthData::Dummy(Dummy::new())),
            guest_token: Some(token.clone()),
            then: AfterRegistration::LogIn(NewDevice::default()),
        }
    }

    #[tokio::test]
    async fn a_guest_becomes_a_registered_user_and_keeps_the_session() {
        let registration = Registration::Open;
        let settings = Settings { guests: Guests::Welcome, registration, ..Settings::default() };
        let (accounts, _) = accounts_with(settings).await;
        let guest = accounts.create_guest(NewDevice::default()).await.unwrap();
        let token = &guest.access_token;
        let session = accounts.authenticate(token.expose(), None).await.unwrap();
        assert_eq!(session.kind, UserKind::Guest);

        let other = accounts.register(form("ada", token)).await;
        assert!(matches!(other, Err(RegistrationError::NotThatGuest)));
        let name = guest.user_id.localpart();
        let unknown = accounts.register(form(name, &Secret::new("nonsense"))).await;
        assert!(matches!(unknown, Err(RegistrationError::NotThatGuest)));

        let registered = accounts.register(form(name, token)).await.unwrap();

        assert_eq!(registered.user_id, guest.user_id);
        let session = accounts.authenticate(token.expose(), None).await.unwrap();
        assert_eq!(session.kind, UserKind::Registered);
        accounts.log_in(name, "secret", NewDevice::default()).await.unwrap();
        let again = accounts.register(form(name, token)).await;
        assert!(matches!(again, Err(RegistrationError::NotThatGuest)));
    }

    #[tokio::test]
    async fn no_guest_comes_where_none_is_welcome() {
        let (accounts, _) = accounts().await;
        assert!(matches!(
            accounts.create_guest(NewDevice::default()).await,
            Err(RegistrationError::NoGuests)
        ));
    }
}
