//! One's own account. Spec: client-server API, "Account management" and "Current account information".

use accounts::{Accounts, OtherDevices, SentEvents, UserKind};
use ruma::api::client::account::{ThirdPartyIdRemovalStatus, change_password, deactivate, whoami};

use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

/// The requester's account.
#[derive(Clone)]
pub struct Account {
    accounts: Accounts,
}

impl Account {
    /// Who one is.
    async fn whoami(
        self,
        requester: Requester,
        _: whoami::v3::Request,
    ) -> Result<whoami::v3::Response, MatrixError> {
        let is_guest = requester.session().kind == UserKind::Guest;
        let mut response = whoami::v3::Response::new(requester.user_id().to_owned(), is_guest);
        response.device_id = Some(requester.device_id().to_owned());
        Ok(response)
    }

    /// Sets a new password.
    async fn change_password(
        self,
        requester: Option<Requester>,
        request: change_password::v3::Request,
    ) -> Result<change_password::v3::Response, MatrixError> {
        let session = requester.as_ref().map(Requester::session);
        let others = if request.logout_devices { OtherDevices::LogOut } else { OtherDevices::Keep };
        let (password, auth) = (&request.new_password, request.auth.as_ref());
        self.accounts.change_own_password(session, password, others, auth).await?;
        Ok(change_password::v3::Response::new())
    }

    /// Closes the account for good.
    async fn deactivate(
        self,
        requester: Option<Requester>,
        request: deactivate::v3::Request,
    ) -> Result<deactivate::v3::Response, MatrixError> {
        let session = requester.as_ref().map(Requester::session);
        let sent = if request.erase { SentEvents::Erase } else { SentEvents::Keep };
        self.accounts.deactivate_own(session, sent, request.auth.as_ref()).await?;
        // There are no identifiers to unbind.
        Ok(deactivate::v3::Response::new(ThirdPartyIdRemovalStatus::Success))
    }
}

/// The endpoints of one's own account.
pub fn endpoints(accounts: Accounts) -> Endpoints<Account> {
    let limited = Settings::default().class(RateClass::Login);
    Endpoints::new(Account { accounts })
        .at(Account::whoami)
        .at_with(limited, Account::change_password)
        .at_with(limited, Account::deactivate)
}
