//! Lists of accounts.

use accounts::{AccountDetails, AccountFilter, AccountOrder, Role};
use ruma::{UInt, api::Direction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{UserKind, UserStatus};

use super::Users;
use crate::admin::{Administrator, Answer, answer::endpoint, paging::Page};
use crate::direction::direction_of;
use crate::{Endpoints, MatrixError};

endpoint!(users: GET "/_synapse/admin/v2/users" {
    #[ruma_api(query_all)]
    pub(crate) query: super::Query,
});
endpoint!(users_v3: GET "/_synapse/admin/v3/users" {
    #[ruma_api(query_all)]
    pub(crate) query: super::Query,
});
/// Which accounts are asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Query {
    from: Option<UInt>,
    limit: Option<UInt>,
    #[serde(default = "crate::admin::forward")]
    dir: Direction,
    #[serde(default)]
    order_by: Order,
    user_id: Option<String>,
    name: Option<String>,
    admins: Option<bool>,
    deactivated: Option<bool>,
    guests: Option<bool>,
    locked: Option<bool>,
}

/// Synapse's names of the orders that are cheap enough.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Name,
    CreationTs,
    Admin,
    Deactivated,
    Displayname,
    AvatarUrl,
}

impl From<Order> for AccountOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Name => Self::Name,
            Order::CreationTs => Self::CreatedAt,
            Order::Admin => Self::Admin,
            Order::Deactivated => Self::Deactivated,
            Order::Displayname => Self::DisplayName,
            Order::AvatarUrl => Self::AvatarUrl,
        }
    }
}

/// An account as it is shown in lists. Keys of what hearth does not have say so, as tools expect them.
pub(super) fn row(account: &AccountDetails) -> Value {
    let AccountDetails { user_id, record, profile, erased, last_seen } = account;
    json!({
        "name": user_id,
        "displayname": profile.get("displayname"),
        "avatar_url": profile.get("avatar_url"),
        "admin": record.role == Role::Admin,
        "deactivated": record.status == UserStatus::Deactivated,
        "is_guest": record.kind == UserKind::Guest,
        "locked": record.restrictions.locked,
        "suspended": record.restrictions.suspended,
        "erased": erased,
        "shadow_banned": false,
        "user_type": null,
        "creation_ts": record.created_at,
        "last_seen_ts": last_seen,
    })
}

impl Users {
    /// All accounts; deactivated ones only if they are asked for.
    async fn users(self, _: Administrator, request: users::Request) -> Result<Answer, MatrixError> {
        let mut query = request.query;
        query.deactivated = match query.deactivated {
            Some(true) => None,
            _ => Some(false),
        };
        self.list(query).await
    }

    /// All accounts; either the deactivated ones or the others if that is asked for.
    async fn users_v3(
        self,
        _: Administrator,
        request: users_v3::Request,
    ) -> Result<Answer, MatrixError> {
        self.list(request.query).await
    }

    async fn list(&self, query: Query) -> Result<Answer, MatrixError> {
        let user_id = query.user_id.filter(|_| query.name.is_none());
        let filter = AccountFilter {
            name: query.name,
            user_id,
            admin: query.admins,
            deactivated: query.deactivated,
            guest: if query.guests == Some(false) { Some(false) } else { None },
            locked: if query.locked == Some(true) { None } else { Some(false) },
        };
        let direction = direction_of(query.dir);
        let page = Page::new(query.from, query.limit);
        let order = (query.order_by.into(), direction);
        let list = self.accounts.account_list(&filter, order, (page.from, page.limit)).await;
        let (accounts, total) = list.map_err(|error| MatrixError::internal(&error))?;
        let rows: Vec<Value> = accounts.iter().map(row).collect();
        let mut answer = json!({ "users": rows, "total": total });
        if let Some(next) = page.next(total) {
            answer["next_token"] = json!(next.to_string());
        }
        Answer::new(&answer)
    }
}

pub(super) fn endpoints(endpoints: Endpoints<Users>) -> Endpoints<Users> {
    endpoints.at(Users::users).at(Users::users_v3)
}
