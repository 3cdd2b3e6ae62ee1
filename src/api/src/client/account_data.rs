//! What clients keep on the server. Spec: client-server API, "Client Config".

use accounts::Accounts;
use ruma::{
    api::client::config::{
        get_global_account_data, get_room_account_data, set_global_account_data,
        set_room_account_data,
    },
    serde::Raw,
};

use crate::{Endpoints, MatrixError, Requester};

mod delete_global {
    //! Deletes data of the account. Spec: MSC3391.

    use ruma::{
        OwnedUserId,
        api::{auth_scheme::AccessToken, metadata, request, response},
    };

    metadata! {
        method: DELETE,
        rate_limited: false,
        authentication: AccessToken,
        history: {
            unstable("org.matrix.msc3391") => "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/account_data/{kind}",
        }
    }

    #[request]
    pub(crate) struct Request {
        #[ruma_api(path)]
        pub(crate) user_id: OwnedUserId,
        #[ruma_api(path)]
        pub(crate) kind: String,
    }

    #[response]
    pub(crate) struct Response {}
}

mod delete_of_room {
    //! Deletes data of a room. Spec: MSC3391.

    use ruma::{
        OwnedRoomId, OwnedUserId,
        api::{auth_scheme::AccessToken, metadata, request, response},
    };

    metadata! {
        method: DELETE,
        rate_limited: false,
        authentication: AccessToken,
        history: {
            unstable("org.matrix.msc3391") => "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/rooms/{room_id}/account_data/{kind}",
        }
    }

    #[request]
    pub(crate) struct Request {
        #[ruma_api(path)]
        pub(crate) user_id: OwnedUserId,
        #[ruma_api(path)]
        pub(crate) room_id: OwnedRoomId,
        #[ruma_api(path)]
        pub(crate) kind: String,
    }

    #[response]
    pub(crate) struct Response {}
}

/// Account data.
#[derive(Clone)]
pub struct AccountData {
    accounts: Accounts,
}

impl AccountData {
    /// Data of the account.
    async fn global(
        self,
        requester: Requester,
        request: get_global_account_data::v3::Request,
    ) -> Result<get_global_account_data::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let kind = request.event_type.to_string();
        let content = self.accounts.account_data(requester.session(), None, &kind).await?;
        Ok(get_global_account_data::v3::Response::new(Raw::from_json(content)))
    }

    /// Data of a room.
    async fn of_room(
        self,
        requester: Requester,
        request: get_room_account_data::v3::Request,
    ) -> Result<get_room_account_data::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let (session, kind) = (requester.session(), request.event_type.to_string());
        let content = self.accounts.account_data(session, Some(&request.room_id), &kind).await?;
        Ok(get_room_account_data::v3::Response::new(Raw::from_json(content)))
    }

    /// Sets data of the account.
    async fn set_global(
        self,
        requester: Requester,
        request: set_global_account_data::v3::Request,
    ) -> Result<set_global_account_data::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let (session, kind) = (requester.session(), request.event_type.to_string());
        self.accounts.set_account_data(session, None, &kind, request.data.json()).await?;
        Ok(set_global_account_data::v3::Response::new())
    }

    /// Sets data of a room.
    async fn set_of_room(
        self,
        requester: Requester,
        request: set_room_account_data::v3::Request,
    ) -> Result<set_room_account_data::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let (session, kind) = (requester.session(), request.event_type.to_string());
        let room = Some(&*request.room_id);
        self.accounts.set_account_data(session, room, &kind, request.data.json()).await?;
        Ok(set_room_account_data::v3::Response::new())
    }

    /// Deletes data of the account.
    async fn delete_global(
        self,
        requester: Requester,
        request: delete_global::Request,
    ) -> Result<delete_global::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let (session, kind) = (requester.session(), &request.kind);
        self.accounts.delete_account_data(session, None, kind).await?;
        Ok(delete_global::Response {})
    }

    /// Deletes data of a room.
    async fn delete_of_room(
        self,
        requester: Requester,
        request: delete_of_room::Request,
    ) -> Result<delete_of_room::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let (session, room) = (requester.session(), Some(&*request.room_id));
        self.accounts.delete_account_data(session, room, &request.kind).await?;
        Ok(delete_of_room::Response {})
    }
}

/// The endpoints of account data.
pub fn endpoints(accounts: Accounts) -> Endpoints<AccountData> {
    Endpoints::new(AccountData { accounts })
        .at(AccountData::global)
        .at(AccountData::of_room)
        .at(AccountData::set_global)
        .at(AccountData::set_of_room)
        .at(AccountData::delete_global)
        .at(AccountData::delete_of_room)
        // Settings of a device go with it, without an endpoint of their own.
        .feature("org.matrix.msc3890")
}
