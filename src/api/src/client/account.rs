//! One's own account. Spec: client-server API, "Account management" and "Current account information".

use accounts::{Accounts, Operation, OtherDevices};
use ruma::api::client::account::{change_password, get_3pids, whoami};

use crate::{
    Endpoints, MatrixError, RateClass, Requester, Settings, authentication::missing_token,
};

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
        let mut response = whoami::v3::Response::new(requester.user_id().to_owned(), false);
        response.device_id = Some(requester.device_id().to_owned());
        Ok(response)
    }

    /// Sets a new password.
    async fn change_password(
        self,
        requester: Option<Requester>,
        request: change_password::v3::Request,
    ) -> Result<change_password::v3::Response, MatrixError> {
        // Without a token one would prove an email address, and we know of none.
        let requester = requester.ok_or_else(missing_token)?;
        let session = requester.session();
        let operation = Operation::new("change password", [requester.user_id().as_str()]);
        self.accounts.require_password(operation, session, request.auth.as_ref()).await?;
        let others = if request.logout_devices { OtherDevices::LogOut } else { OtherDevices::Keep };
        self.accounts.change_password(session, &request.new_password, others).await?;
        Ok(change_password::v3::Response::new())
    }

    /// The email addresses and phone numbers of the account: none can be added.
    async fn third_party_ids(
        self,
        _: Requester,
        _: get_3pids::v3::Request,
    ) -> Result<get_3pids::v3::Response, MatrixError> {
        Ok(get_3pids::v3::Response::new(Vec::new()))
    }
}

/// The endpoints of one's own account.
pub fn endpoints(accounts: Accounts) -> Endpoints<Account> {
    let limited = Settings::default().class(RateClass::Login);
    Endpoints::new(Account { accounts })
        .at(Account::whoami)
        .at_with(limited, Account::change_password)
        .at(Account::third_party_ids)
}
