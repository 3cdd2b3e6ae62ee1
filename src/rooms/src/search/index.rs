//! The index of words: what is in it, and how it is asked.
//!
//! It follows the store and is never the only holder of anything: a damaged one is thrown away and made anew.

mod question;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ruma::{EventId, OwnedEventId};
use store::{EventNumber, RoomNumber, StreamPosition, TimelinePosition, UserNumber};
use tantivy::directory::MmapDirectory;
use tantivy::indexer::IndexWriterOptions;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term};

pub(crate) use self::question::{Hit, Question};
use super::words;
use super::{Order, SearchKey};

/// The name under which the schema knows how text is cut.
const ANALYSER: &str = "words";

/// What the writer may keep in memory before it writes.
const WRITER_BYTES: usize = 16 << 20;

/// What an event says under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: EventNumber,
    pub(super) room: RoomNumber,
    pub(super) sender: UserNumber,
    pub(super) position: TimelinePosition,
    pub(super) key: SearchKey,
    pub(super) text: String,
}

/// A change of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IndexChange {
    /// An event that is not in it yet.
    Add(Entry),
    /// An event says something else now.
    Replace(Entry),
    /// An event says nothing any more.
    Remove(EventNumber),
}

/// How far the index has followed the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    /// Everything up to here is in it.
    pub(super) position: StreamPosition,
    /// The last event, by which an index of another store is recognised.
    pub(super) last: Option<(StreamPosition, OwnedEventId)>,
}

impl Progress {
    /// Of an empty index.
    pub(super) const NONE: Self = Self { position: StreamPosition::START, last: None };

    fn to_text(&self) -> String {
        match &self.last {
            Some((at, event_id)) => format!("{} {at} {event_id}", self.position),
            None => self.position.to_string(),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let position = StreamPosition(parts.next()?.parse().ok()?);
        let last = match parts.next() {
            Some(at) => {
                let event_id = EventId::parse(parts.next()?).ok()?;
                Some((StreamPosition(at.parse().ok()?), event_id))
            }
            None => None,
        };
        Some(Self { position, last })
    }
}

#[derive(Debug, Clone, Copy)]
struct Fields {
    event: Field,
    room: Field,
    sender: Field,
    position: Field,
    body: Field,
    name: Field,
    topic: Field,
}

impl Fields {
    fn of(&self, key: SearchKey) -> Field {
        match key {
            SearchKey::Body => self.body,
            SearchKey::Name => self.name,
            SearchKey::Topic => self.topic,
        }
    }
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let text = TextFieldIndexing::default()
        .set_tokenizer(ANALYSER)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let text = TextOptions::default().set_indexing_options(text);
    let fields = Fields {
        event: schema.add_u64_field("event", INDEXED | FAST),
        room: schema.add_u64_field("room", INDEXED | FAST),
        sender: schema.add_u64_field("sender", INDEXED | FAST),
        position: schema.add_i64_field("position", INDEXED | FAST),
        body: schema.add_text_field("body", text.clone()),
        name: schema.add_text_field("name", text.clone()),
        topic: schema.add_text_field("topic", text),
    };
    (schema.build(), fields)
}

/// The index. Its methods wait for the disk.
pub(super) struct Index {
    fields: Fields,
    reader: IndexReader,
    writer: Mutex<IndexWriter>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index in a folder, or an empty one in memory. Fails when what is there is damaged or of another
    /// schema.
    pub(super) fn open(folder: Option<&Path>) -> Result<(Self, Progress), TantivyError> {
        let (schema, fields) = schema();
        let index = match folder {
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                tantivy::Index::open_or_create(MmapDirectory::open(folder)?, schema)?
            }
            None => tantivy::Index::create_in_ram(schema),
        };
        index.tokenizers().register(ANALYSER, words::analyser());
        let progress = index.load_metas()?.payload;
        let progress = progress.and_then(|text| Progress::from_text(&text));
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(WRITER_BYTES)
            .build();
        let writer = Mutex::new(index.writer_with_options(options)?);
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok((Self { fields, reader, writer }, progress.unwrap_or(Progress::NONE)))
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, IndexWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes changes, which are not to be found yet.
    pub(super) fn write(&self, changes: Vec<IndexChange>) -> Result<(), TantivyError> {
        let writer = self.writer();
        for change in changes {
            match change {
                IndexChange::Add(entry) => {
                    writer.add_document(self.document(entry))?;
                }
                IndexChange::Replace(entry) => {
                    writer.delete_term(Term::from_field_u64(self.fields.event, entry.event.0));
                    writer.add_document(self.document(entry))?;
                }
                IndexChange::Remove(event) => {
                    writer.delete_term(Term::from_field_u64(self.fields.event, event.0));
                }
            }
        }
        Ok(())
    }

    /// Lets all that was taken be found, and notes how far that is.
    pub(super) fn commit(&self, progress: &Progress) -> Result<(), TantivyError> {
        let mut writer = self.writer();
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&progress.to_text());
        commit.commit()?;
        self.reader.reload()
    }

    /// Forgets what was taken since the last commit.
    pub(super) fn roll_back(&self) -> Result<(), TantivyError> {
        self.writer().rollback().map(|_| ())
    }

    /// Forgets everything.
    pub(super) fn clear(&self) -> Result<(), TantivyError> {
        self.writer().delete_all_documents()?;
        self.commit(&Progress::NONE)
    }

    fn document(&self, entry: Entry) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_u64(self.fields.event, entry.event.0);
        document.add_u64(self.fields.room, entry.room.0);
        document.add_u64(self.fields.sender, entry.sender.0);
        document.add_i64(self.fields.position, entry.position.0);
        document.add_text(self.fields.of(entry.key), entry.text);
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: u64, text: &str) -> Entry {
        Entry {
            event: EventNumber(event),
            room: RoomNumber(event % 2),
            sender: UserNumber(7),
            position: TimelinePosition(i64::try_from(event).unwrap()),
            key: SearchKey::Body,
            text: text.to_owned(),
        }
    }

    fn question(text: &[&str], order: Order) -> Question {
        Question {
            phrases: text.iter().map(|word| vec![(*word).to_owned()]).collect(),
            keys: vec![SearchKey::Body],
            rooms: vec![RoomNumber(0), RoomNumber(1)],
            senders: None,
            order,
            before: None,
            limit: 10,
        }
    }

    fn found(index: &Index, question: &Question) -> Vec<u64> {
        index.find(question).unwrap().iter().map(|hit| hit.event.0).collect()
    }

    #[test]
    fn the_newest_come_first_or_those_that_answer_best() {
        let (index, _) = Index::open(None).unwrap();
        let texts = ["tea tea tea", "some tea with a lot of other words", "cake"];
        let add = |(number, text): (usize, &&str)| {
            IndexChange::Add(entry(u64::try_from(number).unwrap() + 1, text))
        };
        index.write(texts.iter().enumerate().map(add).collect()).unwrap();
        index.commit(&Progress::NONE).unwrap();

        assert_eq!(found(&index, &question(&["tea"], Order::Recent)), [2, 1]);
        assert_eq!(found(&index, &question(&["tea"], Order::Rank)), [1, 2]);
        assert_eq!(found(&index, &question(&["tea", "words"], Order::Rank)), [2]);
        let one_room = Question { rooms: vec![RoomNumber(1)], ..question(&["tea"], Order::Rank) };
        assert_eq!(found(&index, &one_room), [1]);
        let before =
            Question { before: Some(TimelinePosition(2)), ..question(&["tea"], Order::Recent) };
        assert_eq!(found(&index, &before), [1]);
    }

    #[test]
    fn what_an_event_no_longer_says_is_not_found() {
        let (index, _) = Index::open(None).unwrap();
        index
            .write(vec![IndexChange::Add(entry(1, "tea")), IndexChange::Add(entry(2, "tea"))])
            .unwrap();
        index.commit(&Progress::NONE).unwrap();
        index
            .write(vec![
                IndexChange::Replace(entry(1, "cake")),
                IndexChange::Remove(EventNumber(2)),
            ])
            .unwrap();
        index.commit(&Progress::NONE).unwrap();

        assert!(found(&index, &question(&["tea"], Order::Rank)).is_empty());
        assert_eq!(found(&index, &question(&["cake"], Order::Rank)), [1]);
    }

    #[test]
    fn an_index_remembers_how_far_it_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress {
            position: StreamPosition(9),
            last: Some((StreamPosition(8), ruma::owned_event_id!("$tea"))),
        };
        let (index, before) = Index::open(Some(folder.path())).unwrap();
        assert_eq!(before, Progress::NONE);
        index.commit(&progress).unwrap();
        drop(index);

        let (_, after) = Index::open(Some(folder.path())).unwrap();
        assert_eq!(after, progress);
    }
}
