//! What administrators see of accounts.

use std::cmp::Ordering;

use ruma::{MilliSecondsSinceUnixEpoch, OwnedUserId, UserId, profile::UserProfile};
use store::{Direction, Role, StoreError, UserKind, UserNumber, UserRecord, UserStatus};

use crate::Accounts;

/// How many accounts are looked at at once.
const PAGE: usize = 500;

/// An account as an administrator sees it.
#[derive(Debug, Clone)]
pub struct AccountDetails {
    /// Its user.
    pub user_id: OwnedUserId,
    /// The account.
    pub record: UserRecord,
    /// What the user tells of themselves.
    pub profile: UserProfile,
    /// Whether what the user sent is erased.
    pub erased: bool,
    /// When a device of the user was seen last, give or take some minutes.
    pub last_seen: Option<MilliSecondsSinceUnixEpoch>,
}

/// Which accounts are asked for: those of which all holds that is given.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// A part of the local part of the ID or of the display name, in any case.
    pub name: Option<String>,
    /// A part of the user ID.
    pub user_id: Option<String>,
    /// Whether they are administrators.
    pub admin: Option<bool>,
    /// Whether they are deactivated.
    pub deactivated: Option<bool>,
    /// Whether they are guests.
    pub guest: Option<bool>,
    /// Whether they are locked.
    pub locked: Option<bool>,
}

/// In what order accounts are listed. Those that are equal in it stand in the order of their names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccountOrder {
    /// By name.
    #[default]
    Name,
    /// The oldest first.
    CreatedAt,
    /// Administrators last.
    Admin,
    /// Deactivated ones last.
    Deactivated,
    /// By display name; those without first.
    DisplayName,
    /// By picture; those without first.
    AvatarUrl,
}

/// What an account is sorted by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortKey {
    Number(u64),
    Text(Option<String>),
}

impl Accounts {
    /// An account; `None` when there is none of this name.
    pub async fn account_details(
        &self,
        user_id: &UserId,
    ) -> Result<Option<AccountDetails>, StoreError> {
        match self.account(user_id).await? {
            Some((number, record)) => {
                self.details(user_id.to_owned(), number, record).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// At most `limit` accounts that `filter` covers, after the first `from` of them, and how many it covers. Looks at
    /// all accounts, some at a time; keeps in memory those of the page and, for an order other than by name, a
    /// few bytes of each.
    pub async fn account_list(
        &self,
        filter: &AccountFilter,
        (order, direction): (AccountOrder, Direction),
        (from, limit): (usize, usize),
    ) -> Result<(Vec<AccountDetails>, usize), StoreError> {
        let mut found = Vec::new();
        let mut total = 0;
        let walk = if order == AccountOrder::Name { direction } else { Direction::Ascending };
        let mut last: Option<String> = None;
        loop {
            let page = self.store().account_names(last.as_deref(), walk, PAGE).await?;
            last = page.last().map(|(name, _)| name.clone());
            let is_last = page.len() < PAGE;
            for (name, number) in page {
                let Some(record) = self.store().user(number).await? else { continue };
                if !self.covers(filter, &name, number, &record).await? {
                    continue;
                }
                if order != AccountOrder::Name {
                    found.push((self.sort_key(order, number, &record).await?, number));
                } else if total >= from && found.len() < limit {
                    found.push((SortKey::Number(0), number));
                }
                total += 1;
            }
            if is_last {
                break;
            }
        }
        if order != AccountOrder::Name {
            found.sort_by(|(one, _), (other, _)| turned(one.cmp(other), direction));
            found = found.into_iter().skip(from).take(limit).collect();
        }
        let mut accounts = Vec::with_capacity(found.len());
        for (_, number) in found {
            let (Some(user_id), Some(record)) =
                (self.store().user_id(number).await?, self.store().user(number).await?)
            else {
                continue;
            };
            accounts.push(self.details(user_id, number, record).await?);
        }
        Ok((accounts, total))
    }

    async fn details(
        &self,
        user_id: OwnedUserId,
        number: UserNumber,
        record: UserRecord,
    ) -> Result<AccountDetails, StoreError> {
        let profile = self.store().profile(number).await?;
        let mut last_seen = None;
        for (device, _) in self.store().devices(number).await? {
            let seen = self.store().device_seen(number, &device).await?;
            last_seen = last_seen.max(seen.map(|seen| seen.at));
        }
        let erased = self.store().erasure(&user_id).await?.is_some();
        Ok(AccountDetails { user_id, record, profile, erased, last_seen })
    }

    async fn covers(
        &self,
        filter: &AccountFilter,
        name: &str,
        number: UserNumber,
        record: &UserRecord,
    ) -> Result<bool, StoreError> {
        let is = |wanted: Option<bool>, fact: bool| wanted.is_none_or(|wanted| wanted == fact);
        if !is(filter.admin, record.role == Role::Admin)
            || !is(filter.deactivated, record.status == UserStatus::Deactivated)
            || !is(filter.guest, record.kind == UserKind::Guest)
            || !is(filter.locked, record.restrictions.locked)
        {
            return Ok(false);
        }
        if let Some(part) = &filter.user_id
            && !format!("@{name}:{}", self.server_name()).contains(part)
        {
            return Ok(false);
        }
        let Some(part) = filter.name.as_ref().map(|part| part.to_lowercase()) else {
            return Ok(true);
        };
        if name.contains(&part) {
            return Ok(true);
        }
        let display_name = self.profile_text(number, "displayname").await?;
        Ok(display_name.is_some_and(|name| name.to_lowercase().contains(&part)))
    }

    async fn sort_key(
        &self,
        order: AccountOrder,
        number: UserNumber,
        record: &UserRecord,
    ) -> Result<SortKey, StoreError> {
        Ok(match order {
            AccountOrder::Name => SortKey::Number(0),
            AccountOrder::CreatedAt => SortKey::Number(record.created_at.get().into()),
            AccountOrder::Admin => SortKey::Number((record.role == Role::Admin).into()),
            AccountOrder::Deactivated => {
                SortKey::Number((record.status == UserStatus::Deactivated).into())
            }
            AccountOrder::DisplayName => {
                SortKey::Text(self.profile_text(number, "displayname").await?)
            }
            AccountOrder::AvatarUrl => {
                SortKey::Text(self.profile_text(number, "avatar_url").await?)
            }
        })
    }

    async fn profile_text(
        &self,
        number: UserNumber,
        field: &str,
    ) -> Result<Option<String>, StoreError> {
        let profile = self.store().profile(number).await?;
        Ok(profile.get(field).and_then(|value| value.as_str()).map(ToOwned::to_owned))
    }
}

fn turned(ordering: Ordering, direction: Direction) -> Ordering {
    match direction {
        Direction::Ascending => ordering,
        Direction::Descending => ordering.reverse(),
    }
}

#[cfg(test)]
mod tests {
    use protocol::Clock;

    use super::*;
    use crate::{NewUser, testing::accounts};

    async fn names(
        accounts: &Accounts,
        filter: AccountFilter,
        order: (AccountOrder, Direction),
        page: (usize, usize),
    ) -> (Vec<String>, usize) {
        let (found, total) = accounts.account_list(&filter, order, page).await.unwrap();
        (found.iter().map(|found| found.user_id.localpart().to_owned()).collect(), total)
    }

    #[tokio::test]
    async fn accounts_are_listed_in_order_in_pages_and_counted() {
        let (accounts, clock) = accounts().await;
        for (name, display_name) in [("cy", "Anna"), ("ada", "Zoe"), ("bo", "Bo")] {
            let user = NewUser::new(name).display_name(display_name);
            accounts.create_user(user).await.unwrap();
            clock.advance(std::time::Duration::from_secs(1));
        }
        assert!(clock.now() > MilliSecondsSinceUnixEpoch(ruma::uint!(0)));
        let all = AccountFilter::default;
        let (up, down) = (Direction::Ascending, Direction::Descending);
        let list = async |order, page| names(&accounts, all(), order, page).await.0;

        assert_eq!(list((AccountOrder::Name, up), (0, 9)).await, ["ada", "bo", "cy"]);
        assert_eq!(list((AccountOrder::Name, down), (1, 1)).await, ["bo"]);
        assert_eq!(list((AccountOrder::CreatedAt, up), (0, 9)).await, ["cy", "ada", "bo"]);
        assert_eq!(list((AccountOrder::DisplayName, down), (0, 2)).await, ["ada", "bo"]);
        assert_eq!(list((AccountOrder::Admin, down), (0, 9)).await, ["ada", "bo", "cy"]);

        let filter = AccountFilter { name: Some("AN".to_owned()), ..all() };
        let order = (AccountOrder::Name, up);
        assert_eq!(names(&accounts, filter, order, (0, 9)).await, (vec!["cy".to_owned()], 1));
        let filter = AccountFilter { admin: Some(true), ..all() };
        assert_eq!(names(&accounts, filter, order, (0, 9)).await, (vec![], 0));
    }
}
