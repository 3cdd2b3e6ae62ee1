//! Users, as Element X has them: a room list kept by sliding sync, and timelines.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, pin_mut};
use matrix_sdk::config::RequestConfig;
use matrix_sdk::ruma::api::client::account::register;
use matrix_sdk::ruma::api::client::uiaa::{AuthData, Dummy};
use matrix_sdk::ruma::events::AnyMessageLikeEventContent;
use matrix_sdk::ruma::events::room::message::RoomMessageEventContent;
use matrix_sdk::ruma::{OwnedEventId, RoomId, UserId};
use matrix_sdk::sliding_sync::VersionBuilder;
use matrix_sdk::{Client, Room, ThreadingSupport};
use matrix_sdk_ui::RoomListService;
use matrix_sdk_ui::room_list_service::State;
use matrix_sdk_ui::timeline::{EventTimelineItem, RoomExt, Timeline};

use crate::steps::{until, until_true};

const PASSWORD: &str = "a long password";

/// A device of a user that follows what happens.
pub struct Person {
    pub client: Client,
    pub list: Arc<RoomListService>,
}

async fn client() -> Result<Client> {
    let port = std::env::var("CLIENTS_PORT").context("CLIENTS_PORT is not set")?;
    let builder = Client::builder()
        .homeserver_url(format!("http://127.0.0.1:{port}"))
        // Fails unless the server says that it has sliding sync.
        .sliding_sync_version_builder(VersionBuilder::DiscoverNative)
        .with_threading_support(ThreadingSupport::Enabled { with_subscriptions: true })
        .request_config(RequestConfig::new().retry_limit(20));
    Ok(builder.build().await?)
}

/// Makes an account and logs in to it.
pub async fn register(name: &str) -> Result<Person> {
    let client = client().await?;
    let mut request = register::v3::Request::new();
    request.username = Some(name.to_owned());
    request.password = Some(PASSWORD.to_owned());
    request.auth = Some(AuthData::Dummy(Dummy::new()));
    client.matrix_auth().register(request).await?;
    follow(client).await
}

/// Logs in to an account that is there, as a new device.
pub async fn log_in(name: &str) -> Result<Person> {
    let client = client().await?;
    client.matrix_auth().login_username(name, PASSWORD).await?;
    follow(client).await
}

/// Starts following, and goes on when the server was away or has forgotten the connection.
async fn follow(client: Client) -> Result<Person> {
    client.event_cache().subscribe()?;
    let list = Arc::new(RoomListService::new(client.clone()).await?);
    let followed = Arc::clone(&list);
    tokio::spawn(async move {
        loop {
            let sync = followed.sync();
            pin_mut!(sync);
            while let Some(Ok(())) = sync.next().await {}
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let person = Person { client, list };
    person.runs().await?;
    Ok(person)
}

impl Person {
    /// Waits until the whole list of rooms is known.
    pub async fn runs(&self) -> Result<()> {
        let state = self.list.state();
        until_true("the room list to run", async || state.get() == State::Running).await
    }

    /// Who it is.
    pub fn user_id(&self) -> &UserId {
        self.client.user_id().expect("they are logged in")
    }

    /// A room of theirs, once it is in their list.
    pub async fn room(&self, room: &RoomId) -> Result<Room> {
        until("the room", async || self.client.get_room(room)).await
    }

    /// Looks at a room, as one does who opens it.
    pub async fn open(&self, room: &RoomId) -> Result<Timeline> {
        let found = self.room(room).await?;
        self.list.subscribe_to_rooms(&[room]).await;
        Ok(found.timeline().await?)
    }
}

/// Says something and returns the event once the server has told its sender of it.
pub async fn say(timeline: &Timeline, body: &str) -> Result<OwnedEventId> {
    let content = RoomMessageEventContent::text_plain(body);
    timeline.send(AnyMessageLikeEventContent::RoomMessage(content)).await?;
    event_id(&seen(timeline, body).await?)
}

/// The ID that the server gave an event.
pub fn event_id(item: &EventTimelineItem) -> Result<OwnedEventId> {
    item.event_id().map(ToOwned::to_owned).context("the server does not know it yet")
}

/// The message that says `body`, once it has come from the server.
pub async fn seen(timeline: &Timeline, body: &str) -> Result<EventTimelineItem> {
    let says = |item: &EventTimelineItem| {
        item.content().as_message().is_some_and(|message| message.body() == body)
    };
    changed(timeline, body, |item| item.event_id().is_some() && says(item)).await
}

/// The first event of which `wanted` holds.
pub async fn changed(
    timeline: &Timeline,
    what: &str,
    wanted: impl Fn(&EventTimelineItem) -> bool,
) -> Result<EventTimelineItem> {
    until(what, async || {
        let items = timeline.items().await;
        items.iter().filter_map(|item| item.as_event()).find(|item| wanted(item)).cloned()
    })
    .await
}

/// What is said in a timeline, read back to the room's creation.
pub async fn whole_conversation(timeline: &Timeline) -> Result<Vec<String>> {
    for turn in 0.. {
        ensure!(turn < 100, "the pages do not end");
        if timeline.paginate_backwards(20).await? {
            break;
        }
    }
    // The timeline is told of the last page in its own time.
    let is_creation = |item: &EventTimelineItem| {
        item.content().event_type_str().as_deref() == Some("m.room.create")
    };
    changed(timeline, "the room's creation", is_creation).await?;
    let items = timeline.items().await;
    let events: Vec<_> = items.iter().filter_map(|item| item.as_event()).collect();
    ensure!(events.first().is_some_and(|first| is_creation(first)), "it is not the first event");
    let messages = events.iter().filter_map(|event| event.content().as_message());
    Ok(messages.map(|message| message.body().to_owned()).collect())
}
