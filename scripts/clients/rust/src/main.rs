//! Two users of matrix-rust-sdk's room list: from registration to a server that was killed under them.

#![recursion_limit = "256"] // The SDK's futures are deep.

mod people;
mod steps;

use anyhow::{Context, Result, ensure};
use matrix_sdk::room::edit::EditedContent;
use matrix_sdk::ruma::api::client::receipt::create_receipt::v3::ReceiptType;
use matrix_sdk::ruma::api::client::room::create_room;
use matrix_sdk::ruma::events::relation::Thread;
use matrix_sdk::ruma::events::room::message::{
    Relation, RoomMessageEventContent, RoomMessageEventContentWithoutRelation,
};
use matrix_sdk::{Room, RoomState};
use matrix_sdk_ui::timeline::EventTimelineItem;
use people::{Person, changed, event_id, log_in, register, say, seen, whole_conversation};
use steps::{Steps, server, until, until_true};

async fn is_called(room: &Room, name: &str) -> bool {
    room.display_name().await.is_ok_and(|known| known.to_string() == name)
}

async fn create(person: &Person, name: String, invited: &[&Person]) -> Result<Room> {
    let mut request = create_room::v3::Request::new();
    request.name = Some(name);
    request.invite = invited.iter().map(|person| person.user_id().to_owned()).collect();
    Ok(person.client.create_room(request).await?)
}

fn text(body: &str) -> RoomMessageEventContentWithoutRelation {
    RoomMessageEventContentWithoutRelation::text_plain(body)
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = std::env::var("VERBOSE").map_or("off", |_| "info");
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let mut steps = Steps::default();

    // --- Accounts and a room

    let ada =
        steps.need("register and follow the room list", async || register("ada-rust").await).await;
    let bo = steps.need("log in by password", async || {
        register("bo-rust").await?;
        log_in("bo-rust").await
    });
    let bo = bo.await;
    let room = steps.need("create a room with an invitation", async || {
        create(&ada, "Tea".to_owned(), &[&bo]).await
    });
    let room = room.await;
    let id = room.room_id().to_owned();
    let theirs = steps.need("the invitation arrives with the room's name", async || {
        let theirs = bo.room(&id).await?;
        until_true("the name", async || is_called(&theirs, "Tea").await).await?;
        ensure!(theirs.state() == RoomState::Invited);
        let inviter = theirs.invite_details().await?.inviter.context("nobody invites")?;
        ensure!(inviter.user_id() == ada.user_id());
        Ok(theirs)
    });
    let theirs = theirs.await;
    steps
        .need("join", async || {
            theirs.join().await?;
            until_true("the membership", async || theirs.state() == RoomState::Joined).await?;
            until_true("the join at the other side", async || room.joined_members_count() == 2)
                .await
        })
        .await;
    let (here, there) =
        steps.need("open the room", async || Ok((ada.open(&id).await?, bo.open(&id).await?))).await;

    // --- Messages

    let (hello, answer) = steps
        .need("message both ways", async || {
            let hello = say(&here, "Kettle is on").await?;
            seen(&there, "Kettle is on").await?;
            let answer = say(&there, "Two cups").await?;
            seen(&here, "Two cups").await?;
            Ok((hello, answer))
        })
        .await;
    steps
        .step("unread counts rise, and fall with the receipt, which its sender sees", async || {
            let last = say(&here, "Are you there?").await?;
            until_true("the count", async || theirs.num_unread_messages() > 0).await?;
            seen(&there, "Are you there?").await?;
            there.send_single_receipt(ReceiptType::Read, last.clone()).await?;
            until_true("the fall", async || theirs.num_unread_messages() == 0).await?;
            let is_read = |item: &EventTimelineItem| {
                item.event_id() == Some(&last) && item.read_receipts().contains_key(bo.user_id())
            };
            changed(&here, "the receipt", is_read).await
        })
        .await;
    steps
        .step("react", async || {
            there.toggle_reaction(&seen(&there, "Kettle is on").await?.identifier(), "🍵").await?;
            changed(&here, "the reaction", |item| {
                item.event_id() == Some(&hello)
                    && item.content().reactions().is_some_and(|found| found.contains_key("🍵"))
            })
            .await
        })
        .await;
    steps
        .step("reply", async || {
            there.send_reply(text("With milk"), hello.clone()).await?;
            let reply = seen(&here, "With milk").await?;
            let to = reply.content().in_reply_to().context("it replies to nothing")?;
            ensure!(to.event_id == hello);
            Ok(())
        })
        .await;
    steps
        .step("edit", async || {
            let new = EditedContent::RoomMessage(text("Kettle is off"));
            here.edit(&seen(&here, "Kettle is on").await?.identifier(), new).await?;
            let edited = seen(&there, "Kettle is off").await?;
            ensure!(event_id(&edited)? == hello);
            ensure!(edited.content().as_message().is_some_and(|message| message.is_edited()));
            Ok(())
        })
        .await;
    steps
        .step("redact", async || {
            let gone = say(&here, "Salt, please").await?;
            seen(&there, "Salt, please").await?;
            here.redact(&seen(&here, "Salt, please").await?.identifier(), Some("sugar")).await?;
            let is_gone = |item: &EventTimelineItem| {
                item.event_id() == Some(&gone) && item.content().is_redacted()
            };
            changed(&there, "the redaction", is_gone).await
        })
        .await;
    steps
        .step("thread reply", async || {
            let mut reply = RoomMessageEventContent::text_plain("Milk in one?");
            reply.relates_to =
                Some(Relation::Thread(Thread::plain(answer.clone(), answer.clone())));
            room.send(reply).await?;
            changed(&there, "the thread's summary at its root", |item| {
                item.event_id() == Some(&answer)
                    && item
                        .content()
                        .thread_summary()
                        .is_some_and(|summary| summary.num_replies == 1)
            })
            .await
        })
        .await;
    steps
        .step("subscribe to a thread", async || {
            theirs.subscribe_thread(answer.clone(), None).await?;
            let known = theirs.load_or_fetch_thread_subscription(&answer).await?;
            ensure!(known.is_some_and(|known| !known.automatic));
            Ok(())
        })
        .await;
    steps
        .step("typing", async || {
            let (_guard, mut typing) = room.subscribe_to_typing_notifications();
            theirs.typing_notice(true).await?;
            while typing.recv().await? != [bo.user_id()] {}
            theirs.typing_notice(false).await?;
            while !typing.recv().await?.is_empty() {}
            Ok(())
        })
        .await;

    // --- Other devices, and history

    steps
        .step("another device reads back to the room's creation", async || {
            let mut said: Vec<_> =
                ["Kettle is off", "Two cups", "Are you there?", "With milk", "Milk in one?"]
                    .map(ToOwned::to_owned)
                    .into();
            for line in 0..60 {
                let body = format!("Line {line}");
                room.send(RoomMessageEventContent::text_plain(&body)).await?;
                said.push(body);
            }
            let late = log_in("bo-rust").await?;
            let timeline = late.open(&id).await?;
            seen(&timeline, "Line 59").await?;
            let found = whole_conversation(&timeline).await?;
            ensure!(found == said, "{found:?}");
            Ok(())
        })
        .await;
    steps
        .step("name, favourite and unread mark reach another device", async || {
            let late = log_in("ada-rust").await?;
            let same = late.room(&id).await?;
            room.set_name("Parlour".to_owned()).await?;
            until_true("the name", async || is_called(&same, "Parlour").await).await?;
            room.set_is_favourite(true, None).await?;
            until_true("the favourite", async || same.is_favourite()).await?;
            room.set_unread_flag(true).await?;
            until_true("the mark", async || same.is_marked_unread()).await
        })
        .await;
    steps
        .step("a list that grows ends with all rooms", async || {
            for number in 0..60 {
                create(&ada, format!("Room {number}"), &[]).await?;
            }
            let late = log_in("ada-rust").await?;
            until_true("all rooms", async || late.client.joined_rooms().len() == 61).await
        })
        .await;

    // --- The server restarts

    for (what, end) in [("asked to stop", "restart"), ("killed", "kill")] {
        let last = format!("Before it was {what}");
        steps
            .need(&format!("{what}, the server starts again"), async || {
                say(&here, &last).await?;
                server(end).await?;
                if end == "kill" { server("start").await } else { Ok(()) }
            })
            .await;
        steps
            .step(&format!("after that ({what}) both go on with nothing lost"), async || {
                let back = format!("After it was {what}");
                say(&there, &back).await?;
                seen(&here, &back).await?;
                // A server that forgot the connection leaves a gap, which pages fill.
                ensure!(whole_conversation(&there).await?.contains(&last));
                let late = log_in("bo-rust").await?;
                let timeline = late.open(&id).await?;
                seen(&timeline, &back).await?;
                ensure!(whole_conversation(&timeline).await?.contains(&last));
                Ok(())
            })
            .await;
    }
    steps
        .step("leave", async || {
            theirs.leave().await?;
            until("the departure", async || (room.joined_members_count() == 1).then_some(())).await
        })
        .await;
    steps.finish()
}
