//! Who sees what, after anything that can happen, against the rules of the specification.

use proptest::prelude::*;
use ruma::{OwnedRoomId, RoomVersionId};
use serde_json::{Value, json};
use store::Direction;

use super::*;
use crate::create::raw;
use crate::testing::{ada, bo, rooms_on_memory_store, wish};
use crate::tokens::PaginationToken;
use crate::{MembershipChange, Preset, Stretch};

/// Something that happens in a room of Ada's.
#[derive(Debug, Clone, Copy)]
enum Step {
    Say,
    /// Bo's membership changes, if it can.
    Member(MembershipChange),
    Visibility(&'static str),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = prop_oneof![
        3 => Just(MembershipChange::Join),
        2 => Just(MembershipChange::Leave),
        2 => Just(MembershipChange::Invite),
        1 => Just(MembershipChange::Kick),
        1 => Just(MembershipChange::Ban),
        2 => Just(MembershipChange::Unban),
    ];
    let visibility = prop_oneof![
        Just("world_readable"),
        Just("shared"),
        Just("invited"),
        Just("joined"),
        Just("com.example.unheard_of"),
    ];
    let step = prop_oneof![
        3 => Just(Step::Say),
        4 => change.prop_map(Step::Member),
        1 => visibility.prop_map(Step::Visibility),
    ];
    prop::collection::vec(step, 1..30)
}

/// What the state before an event and, of one that changes it, after it says.
#[derive(Debug, Clone)]
struct Moment {
    visibility: [String; 2],
    member: [Option<Membership>; 2],
}

struct Case {
    rooms: Rooms,
    room_id: OwnedRoomId,
    room: RoomNumber,
    sent: u32,
}

impl Case {
    async fn new(visibility: &'static str) -> Self {
        let rooms = rooms_on_memory_store().await;
        let wish = wish(Preset::PublicChat, RoomVersionId::V11);
        let room_id = rooms.create_room(ada(), wish).await.unwrap();
        let room = rooms.number_of(&room_id).await.unwrap();
        let mut case = Self { rooms, room_id, room, sent: 0 };
        case.take(Step::Visibility(visibility)).await;
        case
    }

    async fn take(&mut self, step: Step) {
        self.sent += 1;
        match step {
            Step::Say => {
                let body = self.sent.to_string();
                crate::testing::say(&self.rooms, &self.room_id, &body).await;
            }
            Step::Member(change) => {
                let own = matches!(change, MembershipChange::Join | MembershipChange::Leave);
                let sender = if own { bo() } else { ada() };
                let _may_be_refused =
                    self.rooms.change_membership(&self.room_id, sender, bo(), change, None).await;
            }
            Step::Visibility(visibility) => {
                let content = raw(&json!({ "history_visibility": visibility }));
                let kind = StateEventType::RoomHistoryVisibility;
                self.rooms.set_state(&self.room_id, ada(), &kind, "", content).await.unwrap();
            }
        }
    }

    async fn timeline(&self) -> Vec<(TimelinePosition, Arc<StoredEvent>)> {
        let (min, max) = (TimelinePosition::MIN, TimelinePosition::MAX);
        let store = self.rooms.store();
        let entries = store.timeline(self.room, min, max, Direction::Ascending, 1_000).await;
        let mut events = Vec::new();
        for entry in entries.unwrap() {
            events.push((entry.position, self.rooms.event(entry.event).await.unwrap()));
        }
        events
    }

    /// Compares what Bo sees with what they should.
    async fn check(&self) {
        let timeline = self.timeline().await;
        let moments = moments(&timeline);
        let wanted: Vec<bool> = (0..moments.len()).map(|index| is_seen(&moments, index)).collect();
        let mut sight = self.rooms.sight_of_anybody(bo(), self.room).await.unwrap();
        for ((position, event), (wanted, moment)) in
            timeline.iter().zip(wanted.iter().zip(&moments))
        {
            let seen = sight.sees(event, *position).await.unwrap();
            assert_eq!(seen, *wanted, "{moment:?} {:?}", event.pdu);
        }
        let was_in = moments.iter().any(|moment| moment.member[1] == Some(Membership::Join));
        let is_open = moments.last().is_some_and(|moment| moment.visibility[1] == "world_readable");
        let sight = self.rooms.sight(bo(), self.room).await;
        assert_eq!(sight.is_ok(), was_in || is_open);
        let state = self.rooms.visible_state(bo(), &self.room_id).await;
        assert_eq!(state.is_ok(), was_in, "{state:?}");
        let end = self.rooms.end_of_timeline();
        let stretch = Stretch { from: end, to: None, direction: Direction::Descending, limit: 500 };
        let mut sight = self.rooms.sight_of_anybody(bo(), self.room).await.unwrap();
        let page = self.rooms.page(&mut sight, stretch, |_| true).await.unwrap();
        assert_eq!(page.events.len(), wanted.iter().filter(|wanted| **wanted).count());
        assert_eq!(page.next.map(|next: PaginationToken| next.0), None);
    }
}

fn moments(timeline: &[(TimelinePosition, Arc<StoredEvent>)]) -> Vec<Moment> {
    let mut last =
        Moment { visibility: ["shared".to_owned(), "shared".to_owned()], member: [None, None] };
    let mut moments = Vec::new();
    for (_, event) in timeline {
        last.visibility[0] = last.visibility[1].clone();
        last.member[0] = last.member[1];
        let content: Value = event.pdu.content_as().unwrap();
        if event.pdu.is_state(&"m.room.member".into(), bo().as_str()) {
            last.member[1] = membership::of(&event.pdu);
        } else if event.pdu.is_state(&"m.room.history_visibility".into(), "") {
            last.visibility[1] = content["history_visibility"].as_str().unwrap().to_owned();
        }
        moments.push(last.clone());
    }
    moments
}

/// The specification's five rules, in their order. In all but open rooms, one "needs to join a room to view events".
fn is_seen(moments: &[Moment], index: usize) -> bool {
    let joins_later =
        moments[index + 1..].iter().any(|later| later.member[1] == Some(Membership::Join));
    let Moment { visibility, member } = &moments[index];
    visibility.iter().any(|visibility| {
        member.iter().any(|member| {
            let is_shared = !["world_readable", "invited", "joined"].contains(&visibility.as_str());
            visibility == "world_readable"
                || *member == Some(Membership::Join)
                || (is_shared && joins_later)
                || (*member == Some(Membership::Invite) && visibility == "invited" && joins_later)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn history_is_seen_by_the_rules_whatever_happens(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut case = Case::new("shared").await;
            for step in steps {
                case.take(step).await;
            }
            case.check().await;
        });
    }
}

/// Does these things under each visibility, with a message after each, and says which messages Bo sees.
async fn seen_after(visibility: &'static str, changes: &[MembershipChange]) -> Vec<bool> {
    let mut case = Case::new(visibility).await;
    case.take(Step::Say).await;
    for change in changes {
        case.take(Step::Member(*change)).await;
        case.take(Step::Say).await;
    }
    case.check().await;
    let mut sight = case.rooms.sight_of_anybody(bo(), case.room).await.unwrap();
    let mut seen = Vec::new();
    for (position, event) in case.timeline().await {
        if event.pdu.state_key.is_none() {
            seen.push(sight.sees(&event, position).await.unwrap());
        }
    }
    seen
}

#[tokio::test]
async fn who_left_and_was_banned_then_reads_what_they_could() {
    use MembershipChange::{Ban, Join, Leave, Unban};
    for (visibility, wanted) in [
        ("shared", [true, true, false, false, false]),
        ("joined", [false, true, false, false, false]),
        ("world_readable", [true; 5]),
    ] {
        assert_eq!(seen_after(visibility, &[Join, Leave, Ban, Unban]).await, wanted);
    }
}

#[tokio::test]
async fn who_came_twice_reads_both_stays_and_what_was_shared_between() {
    use MembershipChange::{Invite, Join, Leave};
    for (visibility, wanted) in
        [("joined", [false, true, false, true, false]), ("shared", [true, true, true, true, false])]
    {
        assert_eq!(seen_after(visibility, &[Join, Leave, Join, Leave]).await, wanted);
    }
    let again = [Invite, Join, Leave, Invite, Join];
    let wanted = [false, true, true, false, true, true];
    assert_eq!(seen_after("invited", &again).await, wanted, "the second invitation counts too");
    let wanted = [false, true, true, false, false];
    assert_eq!(seen_after("invited", &again[..4]).await, wanted, "once they join");
}

#[tokio::test]
async fn strangers_read_what_was_said_while_the_room_was_open_to_the_world() {
    let mut case = Case::new("shared").await;
    for step in [
        Step::Say,
        Step::Visibility("world_readable"),
        Step::Say,
        Step::Visibility("joined"),
        Step::Say,
    ] {
        case.take(step).await;
    }
    case.check().await;
    assert!(matches!(case.rooms.sight(bo(), case.room).await, Err(RoomError::NotInRoom)));
    let mut wanted = [false, true, false].into_iter();
    for (_, event) in case.timeline().await {
        if event.pdu.state_key.is_none() {
            let found = case.rooms.visible_event_of(bo(), case.room, &event.pdu.event_id).await;
            assert_eq!(found.is_ok(), wanted.next().unwrap(), "{found:?}");
        }
    }
}
