//! A user's push rules. Spec: client-server API, "Push Rules".

use protocol::push::{
    PUSH_RULES, PutRuleError, RulePlace, content_of, default_rules, put_rule, rules_in,
};
use ruma::{
    UserId,
    push::{Action, AnyPushRule, NewPushRule, RemovePushRuleError, RuleKind, Ruleset},
};
use serde_json::value::RawValue;
use store::{AccountData, Batch, StoreError, UserNumber};

use crate::{ATTEMPTS, Accounts, Session};

/// What can go wrong with push rules.
#[derive(Debug, thiserror::Error)]
pub enum PushRuleError {
    /// There is no rule of this kind and ID.
    #[error("push rule not found")]
    NotFound,
    /// The rule is the server's.
    #[error("rules of the server cannot be deleted, only disabled")]
    ServerDefault,
    /// The rule cannot be added.
    #[error(transparent)]
    Put(#[from] PutRuleError),
    /// With this change all rules together are too large.
    #[error("all push rules together have at most {} bytes", AccountData::MAX_CONTENT)]
    TooLarge,
    /// The rules cannot be read or written as JSON.
    #[error("push rules are damaged")]
    Json(#[from] serde_json::Error),
    /// The store failed.
    #[error("push rule store failed")]
    Store(#[from] StoreError),
}

/// Whether a rule applies to events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleStatus {
    /// It does, where its conditions hold.
    Enabled,
    /// It never does.
    Disabled,
}

impl Accounts {
    /// The push rules of the session's user: the server's own and theirs.
    pub async fn push_rules(&self, session: &Session) -> Result<Ruleset, PushRuleError> {
        let stored = self.store().account_data(session.user, None, PUSH_RULES).await?;
        let content = stored.as_ref().map(|stored| &*stored.content);
        Ok(rules_in(content, &session.user_id, self.settings().legacy_mentions)?)
    }

    /// One rule of the session's user.
    pub async fn push_rule(
        &self,
        session: &Session,
        kind: RuleKind,
        rule_id: &str,
    ) -> Result<AnyPushRule, PushRuleError> {
        let rules = self.push_rules(session).await?;
        let rule = rules.get(kind, rule_id).ok_or(PushRuleError::NotFound)?;
        Ok(rule.to_owned())
    }

    /// Adds a rule of the session's user, or changes it.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn put_push_rule(
        &self,
        session: &Session,
        rule: NewPushRule,
        place: RulePlace<'_>,
    ) -> Result<(), PushRuleError> {
        self.change_push_rules(session, |rules| Ok(put_rule(rules, rule.clone(), place)?)).await
    }

    /// Deletes a rule of the session's user. Fails with [`PushRuleError::ServerDefault`] for one that every user has.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn delete_push_rule(
        &self,
        session: &Session,
        kind: RuleKind,
        rule_id: &str,
    ) -> Result<(), PushRuleError> {
        self.change_push_rules(session, |rules| match rules.remove(kind.clone(), rule_id) {
            Err(RemovePushRuleError::ServerDefault) => Err(PushRuleError::ServerDefault),
            outcome => outcome.map_err(|_| PushRuleError::NotFound),
        })
        .await
    }

    /// Enables or disables a rule, which may be the server's.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn set_push_rule_status(
        &self,
        session: &Session,
        kind: RuleKind,
        rule_id: &str,
        status: RuleStatus,
    ) -> Result<(), PushRuleError> {
        let enabled = status == RuleStatus::Enabled;
        self.change_push_rules(session, |rules| {
            let outcome = rules.set_enabled(kind.clone(), rule_id, enabled);
            outcome.map_err(|_| PushRuleError::NotFound)
        })
        .await
    }

    /// Sets what a rule does, which may be the server's.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn set_push_rule_actions(
        &self,
        session: &Session,
        kind: RuleKind,
        rule_id: &str,
        actions: Vec<Action>,
    ) -> Result<(), PushRuleError> {
        self.change_push_rules(session, |rules| {
            let outcome = rules.set_actions(kind.clone(), rule_id, actions.clone());
            outcome.map_err(|_| PushRuleError::NotFound)
        })
        .await
    }

    /// Changes the rules of the session's user. `change` is called again when somebody else was faster.
    async fn change_push_rules(
        &self,
        session: &Session,
        change: impl Fn(&mut Ruleset) -> Result<(), PushRuleError>,
    ) -> Result<(), PushRuleError> {
        for _ in 0..ATTEMPTS {
            let before = self.store().account_data(session.user, None, PUSH_RULES).await?;
            let content = before.as_ref().map(|before| &*before.content);
            let mut rules = rules_in(content, &session.user_id, self.settings().legacy_mentions)?;
            change(&mut rules)?;
            let content = content_of(&rules)?;
            let mut batch = Batch::new();
            put(&mut batch, session.user, before.as_ref(), &content)?;
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Puts the first push rules of a user into a batch who has none any more.
    pub(crate) async fn put_missing_push_rules(
        &self,
        batch: &mut Batch,
        user: UserNumber,
        user_id: &UserId,
    ) -> Result<(), StoreError> {
        if self.store().account_data(user, None, PUSH_RULES).await?.is_some() {
            return Ok(());
        }
        self.put_first_push_rules(batch, user, user_id)
    }

    /// Puts the push rules of a new user into a batch. They are stored and not made up when asked for, so that
    /// `/sync` sends them as the account data they are.
    pub(crate) fn put_first_push_rules(
        &self,
        batch: &mut Batch,
        user: UserNumber,
        user_id: &UserId,
    ) -> Result<(), StoreError> {
        let content = content_of(&default_rules(user_id, self.settings().legacy_mentions));
        let content = content.map_err(|error| StoreError::Undecodable {
            table: PUSH_RULES,
            reason: error.to_string(),
        })?;
        batch.set_account_data(user, None, PUSH_RULES, None, &content)
    }
}

fn put(
    batch: &mut Batch,
    user: UserNumber,
    before: Option<&AccountData>,
    content: &RawValue,
) -> Result<(), PushRuleError> {
    match batch.set_account_data(user, None, PUSH_RULES, before, content) {
        Err(StoreError::TooLarge(_)) => Err(PushRuleError::TooLarge),
        outcome => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests {
    use ruma::push::NewPatternedPushRule;

    use super::*;
    use crate::testing::accounts;

    #[tokio::test]
    async fn a_new_user_has_the_default_rules_as_account_data() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();

        let rules = accounts.push_rules(&session).await.unwrap();
        assert!(rules.get(RuleKind::Override, ".m.rule.master").is_some());
        let stored = accounts.account_data(&session, None, PUSH_RULES).await.unwrap();
        assert!(stored.get().contains(".m.rule.master"));
    }

    fn content_rule(id: &str, pattern: &str) -> NewPushRule {
        let rule = NewPatternedPushRule::new(id.to_owned(), pattern.to_owned(), Vec::new());
        NewPushRule::Content(rule)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn rules_added_at_once_are_all_there() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let all: Vec<_> = (0..8)
            .map(|number| {
                let (accounts, session) = (accounts.clone(), session.clone());
                tokio::spawn(async move {
                    let rule = content_rule(&number.to_string(), "tea");
                    accounts.put_push_rule(&session, rule, RulePlace::Unchanged).await.unwrap();
                })
            })
            .collect();
        for one in all {
            one.await.unwrap();
        }
        assert_eq!(accounts.push_rules(&session).await.unwrap().content.len(), 8);
    }

    #[tokio::test]
    async fn rules_have_a_largest_size() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let rule = content_rule("long", &"x".repeat(AccountData::MAX_CONTENT));
        let outcome = accounts.put_push_rule(&session, rule, RulePlace::Unchanged).await;
        assert!(matches!(outcome, Err(PushRuleError::TooLarge)));
    }

    #[tokio::test]
    async fn rules_of_the_server_are_changed_but_not_deleted() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let (kind, id) = (RuleKind::Underride, ".m.rule.message");

        let outcome = accounts.delete_push_rule(&session, kind.clone(), id).await;
        assert!(matches!(outcome, Err(PushRuleError::ServerDefault)));
        accounts
            .set_push_rule_status(&session, kind.clone(), id, RuleStatus::Disabled)
            .await
            .unwrap();
        accounts.set_push_rule_actions(&session, kind.clone(), id, Vec::new()).await.unwrap();

        let rule = accounts.push_rule(&session, kind, id).await.unwrap();
        assert!(!rule.enabled() && rule.actions().is_empty());
    }
}
