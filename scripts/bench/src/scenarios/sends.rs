//! What a send costs: under load, in a room of many members, in a room of many events.

use crate::homeserver::{User, join_all};
use crate::report::Row;
use crate::{Bench, Outcome};

/// Senders where two rooms are compared turn by turn.
const COMPARED_SENDERS: usize = 8;
const TURNS: usize = 3;
/// Where the growing room is measured first, and over how many events each time.
const EARLY: usize = 1_000;
const WINDOW: usize = 1_000;

impl Bench {
    /// Throughput, all senders in one room and then each in their own.
    pub(crate) async fn sends(&self) -> Outcome<Vec<Row>> {
        let mut users = self.homeserver.users(self.sizes.senders).await?;
        let room = users[0].create_room().await?;
        join_all(&mut users[1..], &room).await?;
        let mut together: Vec<_> = users.into_iter().map(|user| (user, room.clone())).collect();
        let name = format!("{} senders, one room", together.len());
        let one_room = self.load(&name, &mut together, self.sizes.messages).await?;

        let mut apart = Vec::new();
        for (mut user, _) in together {
            let room = user.create_room().await?;
            apart.push((user, room));
        }
        let name = format!("{} senders, a room each", apart.len());
        let rooms = self.load(&name, &mut apart, self.sizes.messages).await?;
        Ok(vec![one_room, rooms])
    }

    /// The same load into a room of two and a room of many, in turns, so that a machine whose speed
    /// drifts treats both alike.
    pub(crate) async fn big_room(&self) -> Outcome<Vec<Row>> {
        let mut users = self.homeserver.users(COMPARED_SENDERS).await?;
        let big = users[0].create_room().await?;
        join_all(&mut users[1..], &big).await?;
        self.homeserver.crowd(&big, self.sizes.members.saturating_sub(COMPARED_SENDERS)).await?;
        let mut in_big: Vec<_> = users.into_iter().map(|user| (user, big.clone())).collect();
        let mut in_small = self.pairs().await?;

        let mut rows = Vec::new();
        for turn in 1..=TURNS {
            let name = format!("room of 2, turn {turn}");
            rows.push(self.load(&name, &mut in_small, self.sizes.repeats).await?);
            let name = format!("room of {}, turn {turn}", self.sizes.members);
            rows.push(self.load(&name, &mut in_big, self.sizes.repeats).await?);
        }
        Ok(rows)
    }

    /// As many senders as in the big room, each pair of them in a room of two.
    async fn pairs(&self) -> Outcome<Vec<(User, String)>> {
        let mut seats = Vec::new();
        for _ in 0..COMPARED_SENDERS / 2 {
            let (mut host, mut guest) =
                (self.homeserver.user().await?, self.homeserver.user().await?);
            let room = host.create_room().await?;
            guest.join(&room).await?;
            seats.extend([(host, room.clone()), (guest, room)]);
        }
        Ok(seats)
    }

    /// One room filled to the end, measured early and late.
    pub(crate) async fn growth(&self) -> Outcome<Vec<Row>> {
        let mut users = self.homeserver.users(self.sizes.senders).await?;
        let room = users[0].create_room().await?;
        join_all(&mut users[1..], &room).await?;
        let mut senders: Vec<_> = users.into_iter().map(|user| (user, room.clone())).collect();
        let between = self.sizes.events.saturating_sub(EARLY + WINDOW + WINDOW);
        Ok(vec![
            self.load("events 1 to 1,000 of a room", &mut senders, EARLY).await?,
            self.load("the 1,000 after the 1,000th", &mut senders, WINDOW).await?,
            self.load(&format!("{between} events between"), &mut senders, between).await?,
            self.load(
                &format!("the 1,000 before the {}th", self.sizes.events),
                &mut senders,
                WINDOW,
            )
            .await?,
        ])
    }
}
