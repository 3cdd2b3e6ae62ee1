//! Tables of the user directory.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `directory_word` | word, user number | nothing |
//! | `open_room` | room number | nothing |
//!
//! The words are those of local users' names. An open room is one whose members anybody may see.

use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::{Batch, RoomNumber, Store, StoreError, Table, UserNumber};

const DIRECTORY_WORD: Table = Table::new(61, "directory_word");
pub(crate) const OPEN_ROOM: Table = Table::new(62, "open_room");

/// Which words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordMatch {
    /// Just this one.
    Whole,
    /// All that begin so.
    Beginning,
}

/// Whether anybody may see who is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomOpenness {
    /// It can be joined by anybody or read by anybody.
    Open,
    /// It is neither.
    Closed,
}

fn word_key(word: &str, user: UserNumber) -> Vec<u8> {
    Key::new().text(word).user(user).into_bytes()
}

fn room_key(room: RoomNumber) -> Vec<u8> {
    Key::new().room(room).into_bytes()
}

impl Store {
    /// At most `limit` users who have such a word in their names, by word; one with several comes several times.
    pub async fn users_with_word(
        &self,
        word: &str,
        wanted: WordMatch,
        limit: usize,
    ) -> Result<Vec<UserNumber>, StoreError> {
        let prefix = match wanted {
            WordMatch::Whole => Key::new().text(word),
            WordMatch::Beginning => Key::new().last(word),
        };
        let range = KeyRange::prefix(prefix.into_bytes());
        let entries = self.scan(DIRECTORY_WORD, range, Direction::Ascending, limit).await?;
        let user = |(key, _): &(Vec<u8>, Vec<u8>)| {
            let mut reader = KeyReader::new(key);
            let number = reader.text().and_then(|_word| reader.u64());
            number.map(UserNumber).ok_or_else(|| StoreError::Undecodable {
                table: DIRECTORY_WORD.name(),
                reason: "not a key".to_owned(),
            })
        };
        entries.iter().map(user).collect()
    }

    /// Whether any of some rooms is open.
    pub async fn is_any_open(&self, rooms: &[RoomNumber]) -> Result<bool, StoreError> {
        let keys: Vec<_> = rooms.iter().map(|room| room_key(*room)).collect();
        let found = self.get_many_bytes(OPEN_ROOM, &keys).await?;
        Ok(found.iter().any(Option::is_some))
    }
}

impl Batch {
    /// Changes the words by which a user is found.
    pub fn change_directory_words(
        &mut self,
        user: UserNumber,
        before: &[String],
        after: &[String],
    ) -> Result<(), StoreError> {
        for word in before.iter().filter(|word| !after.contains(word)) {
            self.remove(DIRECTORY_WORD, word_key(word, user));
        }
        for word in after.iter().filter(|word| !before.contains(word)) {
            self.insert(DIRECTORY_WORD, word_key(word, user), &())?;
        }
        Ok(())
    }

    /// Notes whether a room is open.
    pub fn set_room_openness(
        &mut self,
        room: RoomNumber,
        openness: RoomOpenness,
    ) -> Result<(), StoreError> {
        match openness {
            RoomOpenness::Open => self.insert(OPEN_ROOM, room_key(room), &())?,
            RoomOpenness::Closed => self.remove(OPEN_ROOM, room_key(room)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(all: &[&str]) -> Vec<String> {
        all.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn users_are_found_by_whole_words_and_by_beginnings() {
        let store = Store::in_memory().await;
        let (ada, bo) = (UserNumber(1), UserNumber(2));
        let mut batch = Batch::new();
        batch.change_directory_words(ada, &[], &words(&["al", "cooper"])).unwrap();
        batch.change_directory_words(bo, &[], &words(&["alice"])).unwrap();
        store.commit(batch).await.unwrap();
        let find = |word, wanted| store.users_with_word(word, wanted, 10);

        assert_eq!(find("al", WordMatch::Whole).await.unwrap(), [ada]);
        assert_eq!(find("al", WordMatch::Beginning).await.unwrap(), [bo, ada]);
        assert!(find("lice", WordMatch::Beginning).await.unwrap().is_empty());

        let mut batch = Batch::new();
        batch.change_directory_words(ada, &words(&["al", "cooper"]), &words(&["cooper"])).unwrap();
        store.commit(batch).await.unwrap();
        assert!(find("al", WordMatch::Whole).await.unwrap().is_empty());
        assert_eq!(find("cooper", WordMatch::Whole).await.unwrap(), [ada]);
    }

    #[tokio::test]
    async fn rooms_are_open_until_they_are_closed() {
        let store = Store::in_memory().await;
        for (openness, expected) in [(RoomOpenness::Open, true), (RoomOpenness::Closed, false)] {
            let mut batch = Batch::new();
            batch.set_room_openness(RoomNumber(7), openness).unwrap();
            store.commit(batch).await.unwrap();
            let found = store.is_any_open(&[RoomNumber(6), RoomNumber(7)]).await.unwrap();
            assert_eq!(found, expected);
        }
    }
}
