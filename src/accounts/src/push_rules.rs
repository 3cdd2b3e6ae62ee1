//! A user's push rules. Spec: client-server API, "Push Rules".

use protocol::push::default_rules;
use ruma::{UserId, events::push_rules::PushRulesEventContent, push::Ruleset};
use serde_json::value::to_raw_value;
use store::{Batch, StoreError, UserNumber};

use crate::{Accounts, Session};

/// The account data type push rules are kept under.
const KIND: &str = "m.push_rules";

impl Accounts {
    /// The push rules of the session's user: the server's own and theirs.
    pub async fn push_rules(&self, session: &Session) -> Result<Ruleset, StoreError> {
        let stored = self.store().account_data(session.user, None, KIND).await?;
        let Some(stored) = stored else {
            return Ok(default_rules(&session.user_id));
        };
        let content: PushRulesEventContent = serde_json::from_str(stored.content.get())
            .map_err(|error| StoreError::Undecodable { table: KIND, reason: error.to_string() })?;
        Ok(content.global)
    }

    /// Puts the push rules of a new user into a batch. They are stored and not made up when asked for, so that
    /// `/sync` sends them as the account data they are.
    pub(crate) fn put_first_push_rules(
        batch: &mut Batch,
        user: UserNumber,
        user_id: &UserId,
    ) -> Result<(), StoreError> {
        let content = PushRulesEventContent::new(default_rules(user_id));
        let content = to_raw_value(&content)
            .map_err(|error| StoreError::Undecodable { table: KIND, reason: error.to_string() })?;
        batch.set_account_data(user, None, KIND, None, &content)
    }
}

#[cfg(test)]
mod tests {
    use ruma::push::RuleKind;

    use super::*;
    use crate::testing::accounts;

    #[tokio::test]
    async fn a_new_user_has_the_default_rules_as_account_data() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();

        let rules = accounts.push_rules(&session).await.unwrap();
        assert!(rules.get(RuleKind::Override, ".m.rule.master").is_some());
        let stored = accounts.account_data(&session, None, KIND).await.unwrap();
        assert!(stored.get().contains(".m.rule.master"));
    }
}
