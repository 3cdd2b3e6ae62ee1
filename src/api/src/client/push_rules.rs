//! Push rules. Spec: client-server API, "Push Rules: API".

use accounts::{Accounts, RuleStatus};
use protocol::push::{RulePlace, lists};
use ruma::api::{
    IncomingRequest,
    client::push::{
        delete_pushrule, get_pushrule, get_pushrule_actions, get_pushrule_enabled,
        get_pushrules_all, get_pushrules_global_scope, set_pushrule, set_pushrule_actions,
        set_pushrule_enabled,
    },
    error::DeserializationError,
    response,
};
use ruma::push::{AnyPushRule, NewConditionalPushRule, NewPushRule, RuleKind};
use serde_json::{Map, Value, json};

use crate::{Endpoints, MatrixError, Requester, stand_in::stand_in};

/// The kind that a client names. That of MSC4306 is named without a prefix.
fn kind_of(kind: RuleKind) -> RuleKind {
    if kind.as_str() == "postcontent" { RuleKind::PostContent } else { kind }
}

/// Push rules.
#[derive(Clone)]
pub struct PushRules {
    accounts: Accounts,
}

/// [`get_pushrules_all::v3::Request`], whose answer in ruma leaves out kinds without rules; clients index into them.
pub struct AllRules(());

stand_in!(AllRules, get_pushrules_all::v3::Request => RulesResponse);

/// Rules by kind, of all scopes or of one.
#[response]
pub struct RulesResponse {
    #[ruma_api(body)]
    rules: Value,
}

/// [`get_pushrules_global_scope::v3::Request`], for the reason of [`AllRules`].
pub struct GlobalRules(());

stand_in!(GlobalRules, get_pushrules_global_scope::v3::Request => RulesResponse);

/// [`set_pushrule::v3::Request`], which in ruma 0.17 takes no rule without conditions, though "a rule with no
/// conditions always matches".
pub struct SetRule(set_pushrule::v3::Request);

stand_in!(SetRule, set_pushrule::v3::Request);

impl IncomingRequest for SetRule {
    type EndpointError = <set_pushrule::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = set_pushrule::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let mut body: Map<String, Value> = serde_json::from_slice(request.body())?;
        if let [kind, rule_id] = path_args
            && kind_of(RuleKind::from(*kind)) == RuleKind::PostContent
        {
            // ruma does not know it as a kind that rules are put into, and none are: that is for the service to say.
            let rule_id = (*rule_id).to_owned();
            let rule = NewConditionalPushRule::new(rule_id, Vec::new(), Vec::new());
            return Ok(Self(set_pushrule::v3::Request::new(NewPushRule::PostContent(rule))));
        }
        body.entry("conditions").or_insert_with(|| Value::Array(Vec::new()));
        let body = serde_json::to_vec(&body)?;
        let request = request.map(|_| &*body);
        set_pushrule::v3::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

impl PushRules {
    /// All of the requester's rules.
    async fn all(self, requester: Requester, _: AllRules) -> Result<RulesResponse, MatrixError> {
        Ok(RulesResponse { rules: json!({ "global": self.rules(&requester).await? }) })
    }

    /// All of the requester's rules again: there is no scope but the global one.
    async fn global(
        self,
        requester: Requester,
        _: GlobalRules,
    ) -> Result<RulesResponse, MatrixError> {
        Ok(RulesResponse { rules: self.rules(&requester).await? })
    }

    async fn rules(&self, requester: &Requester) -> Result<Value, MatrixError> {
        let rules = self.accounts.push_rules(requester.session()).await?;
        lists(&rules).map_err(|error| MatrixError::internal(&error))
    }

    /// One rule.
    async fn rule(
        self,
        requester: Requester,
        request: get_pushrule::v3::Request,
    ) -> Result<get_pushrule::v3::Response, MatrixError> {
        let (session, id) = (requester.session(), &request.rule_id);
        let rule = self.accounts.push_rule(session, kind_of(request.kind), id).await?;
        // ruma takes rules of all kinds but this one.
        let rule = match rule {
            AnyPushRule::PostContent(rule) => rule.into(),
            rule => rule.into(),
        };
        Ok(get_pushrule::v3::Response::new(rule))
    }

    /// Adds or changes a rule.
    async fn set_rule(
        self,
        requester: Requester,
        SetRule(request): SetRule,
    ) -> Result<set_pushrule::v3::Response, MatrixError> {
        let place = match (&request.before, &request.after) {
            (Some(before), _) => RulePlace::Before(before),
            (None, Some(after)) => RulePlace::After(after),
            (None, None) => RulePlace::Unchanged,
        };
        self.accounts.put_push_rule(requester.session(), request.rule, place).await?;
        Ok(set_pushrule::v3::Response::new())
    }

    /// Deletes a rule.
    async fn delete_rule(
        self,
        requester: Requester,
        request: delete_pushrule::v3::Request,
    ) -> Result<delete_pushrule::v3::Response, MatrixError> {
        let (session, id) = (requester.session(), &request.rule_id);
        self.accounts.delete_push_rule(session, kind_of(request.kind), id).await?;
        Ok(delete_pushrule::v3::Response::new())
    }

    /// Whether a rule is enabled.
    async fn enabled(
        self,
        requester: Requester,
        request: get_pushrule_enabled::v3::Request,
    ) -> Result<get_pushrule_enabled::v3::Response, MatrixError> {
        let (session, id) = (requester.session(), &request.rule_id);
        let rule = self.accounts.push_rule(session, kind_of(request.kind), id).await?;
        Ok(get_pushrule_enabled::v3::Response::new(rule.enabled()))
    }

    /// Enables or disables a rule.
    async fn set_enabled(
        self,
        requester: Requester,
        request: set_pushrule_enabled::v3::Request,
    ) -> Result<set_pushrule_enabled::v3::Response, MatrixError> {
        let (session, id) = (requester.session(), &request.rule_id);
        let status = if request.enabled { RuleStatus::Enabled } else { RuleStatus::Disabled };
        self.accounts.set_push_rule_status(session, kind_of(request.kind), id, status).await?;
        Ok(set_pushrule_enabled::v3::Response::new())
    }

    /// What a rule does.
    async fn actions(
        self,
        requester: Requester,
        request: get_pushrule_actions::v3::Request,
    ) -> Result<get_pushrule_actions::v3::Response, MatrixError> {
        let (session, id) = (requester.session(), &request.rule_id);
        let rule = self.accounts.push_rule(session, kind_of(request.kind), id).await?;
        Ok(get_pushrule_actions::v3::Response::new(rule.actions().to_vec()))
    }

    /// Sets what a rule does.
    async fn set_actions(
        self,
        requester: Requester,
        request: set_pushrule_actions::v3::Request,
    ) -> Result<set_pushrule_actions::v3::Response, MatrixError> {
        let (session, id, actions) = (requester.session(), &request.rule_id, request.actions);
        self.accounts.set_push_rule_actions(session, kind_of(request.kind), id, actions).await?;
        Ok(set_pushrule_actions::v3::Response::new())
    }
}

/// The endpoints of push rules.
pub fn endpoints(accounts: Accounts) -> Endpoints<PushRules> {
    Endpoints::new(PushRules { accounts })
        .at(PushRules::all)
        .at(PushRules::global)
        .at(PushRules::rule)
        .at(PushRules::set_rule)
        .at(PushRules::delete_rule)
        .at(PushRules::enabled)
        .at(PushRules::set_enabled)
        .at(PushRules::actions)
        .at(PushRules::set_actions)
}
