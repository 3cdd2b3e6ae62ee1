//! How the index is asked.

use store::{EventNumber, RoomNumber, TimelinePosition, UserNumber};
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, ConstScoreQuery, Occur, PhraseQuery, Query, RangeQuery};
use tantivy::query::{TermQuery, TermSetQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, SegmentReader, TantivyError, Term};

use super::{Index, Order, SearchKey};

/// What is asked of the index.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// All of these must be there; the words of each right after another.
    pub(crate) phrases: Vec<Vec<String>>,
    pub(crate) keys: Vec<SearchKey>,
    pub(crate) rooms: Vec<RoomNumber>,
    /// Only of these senders.
    pub(crate) senders: Option<Vec<UserNumber>>,
    pub(crate) order: Order,
    /// Only what stands before this.
    pub(crate) before: Option<TimelinePosition>,
    pub(crate) limit: usize,
}

/// An event that answers a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hit {
    pub(crate) event: EventNumber,
    pub(crate) room: RoomNumber,
    pub(crate) sender: UserNumber,
    pub(crate) position: TimelinePosition,
    pub(crate) rank: f32,
}

impl Index {
    /// The events that answer a question, in its order.
    pub(crate) fn find(&self, question: &Question) -> Result<Vec<Hit>, TantivyError> {
        if question.limit == 0 || question.rooms.is_empty() || question.phrases.is_empty() {
            return Ok(Vec::new());
        }
        let searcher = self.reader.searcher();
        let query = self.query(question);
        let top = TopDocs::with_limit(question.limit);
        let found: Vec<(f32, DocAddress)> = match question.order {
            Order::Rank => searcher.search(&query, &top.order_by_score())?,
            Order::Recent => {
                let newest = top.tweak_score(|segment: &SegmentReader| {
                    let positions = segment.fast_fields().i64("position").ok();
                    move |document, rank: f32| {
                        let position = positions.as_ref().and_then(|all| all.first(document));
                        (position.unwrap_or(i64::MIN), rank)
                    }
                });
                let found = searcher.search(&query, &newest)?;
                found.into_iter().map(|((_, rank), address)| (rank, address)).collect()
            }
        };
        let hit = |(rank, address): (f32, DocAddress)| {
            let values = searcher.segment_reader(address.segment_ord).fast_fields();
            let number = |name| -> Result<u64, TantivyError> {
                Ok(values.u64(name)?.first(address.doc_id).unwrap_or_default())
            };
            Ok(Hit {
                event: EventNumber(number("event")?),
                room: RoomNumber(number("room")?),
                sender: UserNumber(number("sender")?),
                position: TimelinePosition(
                    values.i64("position")?.first(address.doc_id).unwrap_or_default(),
                ),
                rank,
            })
        };
        found.into_iter().map(hit).collect()
    }

    fn query(&self, question: &Question) -> BooleanQuery {
        let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for phrase in &question.phrases {
            let anywhere =
                question.keys.iter().map(|key| Self::phrase(self.fields.of(*key), phrase));
            parts.push((Occur::Must, Box::new(BooleanQuery::union(anywhere.collect()))));
        }
        let numbers = |field, numbers: Vec<u64>| {
            let terms = numbers.into_iter().map(|number| Term::from_field_u64(field, number));
            unranked(Box::new(TermSetQuery::new(terms)))
        };
        let rooms = question.rooms.iter().map(|room| room.0).collect();
        parts.push((Occur::Must, numbers(self.fields.room, rooms)));
        if let Some(senders) = &question.senders {
            let senders = senders.iter().map(|sender| sender.0).collect();
            parts.push((Occur::Must, numbers(self.fields.sender, senders)));
        }
        if let Some(before) = question.before {
            let before = Term::from_field_i64(self.fields.position, before.0);
            let range =
                RangeQuery::new(std::ops::Bound::Unbounded, std::ops::Bound::Excluded(before));
            parts.push((Occur::Must, unranked(Box::new(range))));
        }
        BooleanQuery::new(parts)
    }

    fn phrase(field: Field, words: &[String]) -> Box<dyn Query> {
        let term = |word: &String| Term::from_field_text(field, word);
        match words {
            [word] => Box::new(TermQuery::new(term(word), IndexRecordOption::WithFreqs)),
            words => Box::new(PhraseQuery::new(words.iter().map(term).collect())),
        }
    }
}

/// A condition that says nothing about how well an event answers.
fn unranked(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, 0.0))
}
