//! The presence of one user, put together from their devices. Spec: client-server API, "Presence".

use std::time::{Duration, Instant};

use ruma::{DeviceId, OwnedDeviceId};

/// How long a device counts as connected after its last sync.
const LINGERING: Duration = Duration::from_secs(30);
/// After how long without activity an online user is shown as unavailable. Spec: "Idle timeout".
const IDLE: Duration = Duration::from_mins(5);
/// How long after their last activity a user counts as currently active. Spec: "Last active ago".
const ACTIVE: Duration = Duration::from_mins(1);
/// How many devices of one user are told apart; of more, those that come first count.
const MOST_DEVICES: usize = 50;

/// Whether a user can be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PresenceState {
    /// They are not connected, or do not want to be seen.
    #[default]
    Offline,
    /// They are idle.
    Unavailable,
    /// They are there.
    Online,
}

/// What others are shown of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the user can be reached.
    pub state: PresenceState,
    /// What they say of it.
    pub message: Option<String>,
    /// Whether they are active now; while they are, nobody is told of every action.
    pub currently_active: bool,
}

/// What is known of one user.
#[derive(Debug, Default)]
pub(super) struct UserPresence {
    devices: Vec<Device>,
    message: Option<String>,
    last_active: Option<Instant>,
}

#[derive(Debug)]
struct Device {
    id: OwnedDeviceId,
    state: PresenceState,
    /// How many of its requests wait for news.
    waiting: usize,
    /// Until when it counts as connected if none does.
    until: Instant,
}

impl Device {
    fn is_connected(&self, now: Instant) -> bool {
        self.waiting > 0 || self.until > now
    }
}

impl UserPresence {
    /// What others are shown at `now`.
    pub(super) fn status(&self, now: Instant) -> Status {
        let connected = self.devices.iter().filter(|device| device.is_connected(now));
        let state = connected.map(|device| device.state).max().unwrap_or_default();
        let idle_for = self.last_active.map(|active| now.saturating_duration_since(active));
        let is_idle = idle_for.is_none_or(|idle| idle >= IDLE);
        let state = match state {
            PresenceState::Online if is_idle => PresenceState::Unavailable,
            state => state,
        };
        let is_online = state == PresenceState::Online;
        let currently_active = is_online && idle_for.is_some_and(|idle| idle < ACTIVE);
        Status { state, message: self.message.clone(), currently_active }
    }

    /// When the user last did something.
    pub(super) fn last_active(&self) -> Option<Instant> {
        self.last_active
    }

    /// The first time after `now` at which the status may change by itself.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        if !self.devices.iter().any(|device| device.is_connected(now)) {
            return None;
        }
        let devices = self.devices.iter().filter(|device| device.waiting == 0);
        let activity =
            self.last_active.into_iter().flat_map(|active| [active + ACTIVE, active + IDLE]);
        devices.map(|device| device.until).chain(activity).filter(|time| *time > now).min()
    }

    /// The user says how they are, from a device.
    pub(super) fn set(
        &mut self,
        device: &DeviceId,
        state: PresenceState,
        message: Option<String>,
        now: Instant,
    ) {
        self.message = message;
        // Who does not want to be seen is not seen to say so.
        if state != PresenceState::Offline {
            self.last_active = Some(now);
        }
        if let Some(device) = self.device(device, now) {
            device.state = state;
            device.until = now + LINGERING;
        }
    }

    /// What the user said before the server was started.
    pub(super) fn recall(&mut self, message: String) {
        self.message = Some(message);
    }

    /// A device begins to wait for news.
    pub(super) fn connect(&mut self, device: &DeviceId, state: PresenceState, now: Instant) {
        let Some(device) = self.device(device, now) else { return };
        let was_online = device.is_connected(now) && device.state == PresenceState::Online;
        device.state = state;
        device.waiting += 1;
        // Coming online is an activity, staying so is none.
        if state == PresenceState::Online && !was_online {
            self.last_active = Some(now);
        }
    }

    /// A device ends to wait for news.
    pub(super) fn disconnect(&mut self, device: &DeviceId, now: Instant) {
        if let Some(device) = self.devices.iter_mut().find(|known| known.id == device) {
            device.waiting = device.waiting.saturating_sub(1);
            device.until = device.until.max(now + LINGERING);
        }
    }

    /// The user does something, which brings them back if they are idle.
    pub(super) fn act(&mut self, now: Instant) {
        self.last_active = Some(now);
        for device in &mut self.devices {
            if device.state == PresenceState::Unavailable {
                device.state = PresenceState::Online;
            }
        }
    }

    /// What is known of a device; `None` when there are too many.
    fn device(&mut self, id: &DeviceId, now: Instant) -> Option<&mut Device> {
        let known = self.devices.iter().position(|device| device.id == id);
        if let Some(index) = known {
            return self.devices.get_mut(index);
        }
        self.devices.retain(|device| device.is_connected(now));
        if self.devices.len() >= MOST_DEVICES {
            return None;
        }
        let state = PresenceState::Offline;
        self.devices.push(Device { id: id.to_owned(), state, waiting: 0, until: now });
        self.devices.last_mut()
    }
}

#[cfg(test)]
mod tests {
    use PresenceState::{Offline, Online, Unavailable};

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn phone() -> &'static DeviceId {
        "PHONE".into()
    }

    fn laptop() -> &'static DeviceId {
        "LAPTOP".into()
    }

    #[test]
    fn who_waits_for_news_is_online_and_offline_half_a_minute_after() {
        let (mut user, now) = (UserPresence::default(), Instant::now());
        user.connect(phone(), Online, now);
        assert_eq!(user.status(now).state, Online);
        user.disconnect(phone(), now + MINUTE);

        assert_eq!(user.status(now + MINUTE + Duration::from_secs(29)).state, Online);
        assert_eq!(user.status(now + MINUTE + LINGERING).state, Offline);
        assert_eq!(user.next_look(now + MINUTE), Some(now + MINUTE + LINGERING));
    }

    #[test]
    fn who_does_nothing_for_five_minutes_is_unavailable_until_they_do() {
        let (mut user, now) = (UserPresence::default(), Instant::now());
        user.connect(phone(), Online, now);
        assert!(user.status(now).currently_active);
        assert!(!user.status(now + ACTIVE).currently_active);
        assert_eq!(user.status(now + ACTIVE).state, Online);
        assert_eq!(user.status(now + IDLE).state, Unavailable);

        user.connect(phone(), Online, now + IDLE);
        assert_eq!(user.status(now + IDLE).state, Unavailable, "to stay online is no activity");
        user.act(now + IDLE);
        assert_eq!(user.status(now + IDLE).state, Online);
    }

    #[test]
    fn the_most_present_device_counts() {
        let (mut user, now) = (UserPresence::default(), Instant::now());
        user.connect(phone(), Online, now);
        user.connect(laptop(), Unavailable, now);
        assert_eq!(user.status(now).state, Online);

        user.set(phone(), Offline, None, now);
        assert_eq!(user.status(now).state, Unavailable);
        user.act(now);
        assert_eq!(user.status(now).state, Online, "the laptop comes back, the phone stays hidden");
        user.disconnect(laptop(), now);
        assert_eq!(user.status(now + LINGERING).state, Offline);
    }

    #[test]
    fn to_say_that_one_is_away_is_an_activity() {
        let (mut user, now) = (UserPresence::default(), Instant::now());
        user.set(phone(), Unavailable, None, now);
        assert_eq!((user.last_active(), user.status(now).state), (Some(now), Unavailable));
        user.set(phone(), Offline, None, now + MINUTE);
        assert_eq!(user.last_active(), Some(now), "who hides is not seen to hide");
    }

    #[test]
    fn a_message_stays_when_devices_come_and_go() {
        let (mut user, now) = (UserPresence::default(), Instant::now());
        user.set(phone(), Online, Some("at tea".to_owned()), now);
        user.connect(laptop(), Unavailable, now);
        let later = now + 10 * MINUTE;
        assert_eq!(user.status(later).message.as_deref(), Some("at tea"));

        user.set(laptop(), Online, None, later);
        assert_eq!(user.status(later).message, None);
    }

    #[test]
    fn devices_that_are_gone_make_room_for_others() {
        let (mut user, now) = (UserPresence::default(), Instant::now());
        for number in 0..=MOST_DEVICES {
            user.set(<&DeviceId>::from(format!("D{number}").as_str()), Online, None, now);
        }
        assert_eq!(user.devices.len(), MOST_DEVICES);
        user.set(phone(), Online, None, now + LINGERING);
        assert_eq!(user.devices.len(), 1);
    }
}
