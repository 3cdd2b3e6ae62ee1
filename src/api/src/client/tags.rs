//! Tags of rooms. Spec: client-server API, "Room Tagging".

use accounts::Accounts;
use ruma::api::client::tag::{create_tag, delete_tag, get_tags};

use crate::{Endpoints, MatrixError, Requester};

/// Tags of rooms.
#[derive(Clone)]
pub struct Tags {
    accounts: Accounts,
}

impl Tags {
    /// The tags of a room.
    async fn tags(
        self,
        requester: Requester,
        request: get_tags::v3::Request,
    ) -> Result<get_tags::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let tags = self.accounts.tags(requester.session(), &request.room_id).await?;
        Ok(get_tags::v3::Response::new(tags))
    }

    /// Gives a room a tag.
    async fn create_tag(
        self,
        requester: Requester,
        request: create_tag::v3::Request,
    ) -> Result<create_tag::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let (session, tag) = (requester.session(), request.tag.into());
        self.accounts.set_tag(session, &request.room_id, &tag, &request.tag_info).await?;
        Ok(create_tag::v3::Response::new())
    }

    /// Takes a tag off a room.
    async fn delete_tag(
        self,
        requester: Requester,
        request: delete_tag::v3::Request,
    ) -> Result<delete_tag::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let (session, tag) = (requester.session(), request.tag.into());
        self.accounts.remove_tag(session, &request.room_id, &tag).await?;
        Ok(delete_tag::v3::Response::new())
    }
}

/// The endpoints of tags.
pub fn endpoints(accounts: Accounts) -> Endpoints<Tags> {
    Endpoints::new(Tags { accounts }).at(Tags::tags).at(Tags::create_tag).at(Tags::delete_tag)
}
