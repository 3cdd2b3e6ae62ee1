//! Who may invite a user. Spec: client-server API, "Invite permission"; MSC4155, "Invite filtering".

use protocol::glob;
use ruma::UserId;
use serde_json::Value;
use store::{StoreError, UserNumber};

use crate::{RoomError, Rooms};

/// What becomes of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitePermission {
    /// The invited see it.
    Allow,
    /// It is made and the invited never see it.
    Ignore,
    /// It is refused.
    Block,
}

/// The account data that blocks all invitations, as the specification and MSC4380 call it.
const CONFIG: [&str; 2] =
    ["m.invite_permission_config", "org.matrix.msc4380.invite_permission_config"];
/// The account data that chooses between inviters, as MSC4155 calls it.
const FILTER: &str = "org.matrix.msc4155.invite_permission_config";

impl Rooms {
    /// What becomes of an invitation by `inviter`. Other servers decide for their users, and the server's own notices
    /// reach everybody.
    pub async fn invite_permission(
        &self,
        invited: &UserId,
        inviter: &UserId,
    ) -> Result<InvitePermission, RoomError> {
        let notices = self.settings().server_notices.as_ref();
        let is_notice = notices.is_some_and(|notices| notices.sender == inviter);
        if is_notice || invited.server_name() != self.server_name() {
            return Ok(InvitePermission::Allow);
        }
        let Some(number) = self.store().user_number(invited).await? else {
            return Ok(InvitePermission::Allow);
        };
        for kind in CONFIG {
            if blocks_all(&self.setting(number, kind).await?) {
                return Ok(InvitePermission::Block);
            }
        }
        Ok(filtered(&self.setting(number, FILTER).await?, inviter))
    }

    /// Fails with [`RoomError::InviteBlocked`] if the invited want no invitation by `inviter`.
    pub(crate) async fn check_invite(
        &self,
        invited: &UserId,
        inviter: &UserId,
    ) -> Result<(), RoomError> {
        match self.invite_permission(invited, inviter).await? {
            InvitePermission::Allow | InvitePermission::Ignore => Ok(()),
            InvitePermission::Block => Err(RoomError::InviteBlocked(invited.to_owned())),
        }
    }

    /// Account data of a user; `null` where they have none.
    async fn setting(&self, user: UserNumber, kind: &str) -> Result<Value, StoreError> {
        let found = self.store().account_data(user, None, kind).await?;
        let parsed = found.and_then(|found| serde_json::from_str(found.content.get()).ok());
        Ok(parsed.unwrap_or(Value::Null))
    }
}

fn blocks_all(config: &Value) -> bool {
    config["default_action"] == "block"
}

/// What a filter says about an inviter: of their user id first, then of their server; whoever is allowed at one of
/// these is allowed there whatever else is said.
fn filtered(filter: &Value, inviter: &UserId) -> InvitePermission {
    let lists = [("users", inviter.as_str()), ("servers", inviter.server_name().as_str())];
    for (of, value) in lists {
        for (action, permission) in [
            ("allowed", InvitePermission::Allow),
            ("ignored", InvitePermission::Ignore),
            ("blocked", InvitePermission::Block),
        ] {
            let globs = filter[format!("{action}_{of}")].as_array().into_iter().flatten();
            if globs.filter_map(Value::as_str).any(|glob| glob::matches_whole(glob, value)) {
                return permission;
            }
        }
    }
    InvitePermission::Allow
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_looks_at_users_before_servers_and_allows_before_it_blocks() {
        let eve = user_id!("@eve:bad.test");
        for (filter, expected) in [
            (Value::Null, InvitePermission::Allow),
            (json!({ "blocked_users": null }), InvitePermission::Allow),
            (json!({ "blocked_users": "@eve:bad.test" }), InvitePermission::Allow),
            (json!({ "blocked_users": [5, "@eve:bad.test"] }), InvitePermission::Block),
            (json!({ "ignored_users": ["@e*"] }), InvitePermission::Ignore),
            (json!({ "blocked_servers": ["b?d.*"] }), InvitePermission::Block),
            (json!({ "blocked_servers": ["bad"] }), InvitePermission::Allow),
            (
                json!({ "blocked_users": ["*"], "ignored_users": ["*"], "allowed_users": ["@eve:*"] }),
                InvitePermission::Allow,
            ),
            (
                json!({ "allowed_users": ["@eve:bad.test"], "blocked_servers": ["bad.test"] }),
                InvitePermission::Allow,
            ),
            (
                json!({ "blocked_users": ["@eve:bad.test"], "allowed_servers": ["bad.test"] }),
                InvitePermission::Block,
            ),
        ] {
            assert_eq!(filtered(&filter, eve), expected, "{filter}");
        }
    }

    #[test]
    fn only_the_action_block_blocks_all() {
        assert!(blocks_all(&json!({ "default_action": "block" })));
        for other in [Value::Null, json!({}), json!({ "default_action": "allow" }), json!([])] {
            assert!(!blocks_all(&other), "{other}");
        }
    }
}
