//! Tags of rooms, kept as the account data they are. Spec: client-server API, "Room Tagging".

use ruma::{
    RoomId,
    events::tag::{TagEventContent, TagInfo, TagName, Tags},
};
use serde_json::value::{RawValue, to_raw_value};
use store::AccountData;

use crate::{AccountDataError, Accounts, Session, account_data::MAX_KIND};

/// The account data type tags are kept under.
const KIND: &str = "m.tag";

/// The tags in account data; none where a client wrote something else.
fn tags_in(content: &RawValue) -> Tags {
    let content = serde_json::from_str::<TagEventContent>(content.get());
    content.map(|content| content.tags).unwrap_or_default()
}

impl Accounts {
    /// The tags that the session's user gave a room.
    pub async fn tags(
        &self,
        session: &Session,
        room_id: &RoomId,
    ) -> Result<Tags, AccountDataError> {
        match self.account_data(session, Some(room_id), KIND).await {
            Ok(content) => Ok(tags_in(&content)),
            Err(AccountDataError::NotFound) => Ok(Tags::new()),
            Err(error) => Err(error),
        }
    }

    /// Gives a room a tag, in place of one of the same name.
    pub async fn set_tag(
        &self,
        session: &Session,
        room_id: &RoomId,
        tag: &TagName,
        info: &TagInfo,
    ) -> Result<(), AccountDataError> {
        if tag.as_ref().len() > MAX_KIND {
            return Err(AccountDataError::TagTooLong);
        }
        let change = |tags: &mut Tags| {
            tags.insert(tag.clone(), info.clone());
        };
        self.change_tags(session, room_id, change).await
    }

    /// Takes a tag off a room. One that is not there is off already.
    pub async fn remove_tag(
        &self,
        session: &Session,
        room_id: &RoomId,
        tag: &TagName,
    ) -> Result<(), AccountDataError> {
        let change = |tags: &mut Tags| {
            tags.remove(tag);
        };
        self.change_tags(session, room_id, change).await
    }

    async fn change_tags(
        &self,
        session: &Session,
        room_id: &RoomId,
        change: impl Fn(&mut Tags),
    ) -> Result<(), AccountDataError> {
        let room = self.store().number_room(room_id).await?;
        let changed = |before: Option<&AccountData>| {
            let mut tags = before.map(|before| tags_in(&before.content)).unwrap_or_default();
            change(&mut tags);
            Ok(to_raw_value(&TagEventContent::new(tags))?)
        };
        self.change_account_data(session, Some(room), KIND, changed).await
    }
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;
    use crate::testing::accounts;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn tags_set_at_once_are_all_set() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let room = room_id!("!kitchen:hearth.test");
        let all: Vec<_> = (0..8)
            .map(|number| {
                let (accounts, session) = (accounts.clone(), session.clone());
                tokio::spawn(async move {
                    let tag = TagName::from(format!("u.{number}"));
                    accounts.set_tag(&session, room, &tag, &TagInfo::new()).await.unwrap();
                })
            })
            .collect();
        for one in all {
            one.await.unwrap();
        }
        accounts.remove_tag(&session, room, &"u.3".into()).await.unwrap();
        accounts.remove_tag(&session, room, &"u.none".into()).await.unwrap();

        let tags = accounts.tags(&session, room).await.unwrap();
        let names: Vec<_> = tags.keys().map(AsRef::as_ref).collect();
        assert_eq!(names, ["u.0", "u.1", "u.2", "u.4", "u.5", "u.6", "u.7"]);
        let other = accounts.tags(&session, room_id!("!attic:hearth.test")).await.unwrap();
        assert!(other.is_empty());
        let long = TagName::from("u.".repeat(200));
        let long = accounts.set_tag(&session, room, &long, &TagInfo::new()).await;
        assert!(matches!(long, Err(AccountDataError::TagTooLong)));
    }

    #[tokio::test]
    async fn tags_take_the_place_of_what_is_none() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let room = room_id!("!kitchen:hearth.test");
        let odd = RawValue::from_string(r#"{"tags":[1]}"#.to_owned()).unwrap();
        accounts.set_account_data(&session, Some(room), KIND, &odd).await.unwrap();

        accounts.set_tag(&session, room, &TagName::Favorite, &TagInfo::new()).await.unwrap();

        assert_eq!(accounts.tags(&session, room).await.unwrap().len(), 1);
    }
}
