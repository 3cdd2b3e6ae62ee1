//! All that a database holds as one stream, to move between engines and to keep elsewhere.
//!
//! The stream: [`MAGIC`], format version (u32), records, end. A record is the byte 1, the table's number (u8), the
//! lengths of key and value (u32 each), key, value; records are ordered by table and key. The end is the byte 0, the
//! number of records (u64) and the SHA-256 of everything before it. Integers are big-endian.

use std::io::{Read, Write as Sink};
use std::ops::Bound;

use sha2::{Digest, Sha256};

use crate::engine::{Direction, Engine, KeyRange, Write};
use crate::table::META;
use crate::{Batch, EngineError, Table};

const MAGIC: &[u8; 12] = b"hearth-store";
const FORMAT: u32 = 1;
const RECORD: u8 = 1;
const END: u8 = 0;

/// Key in [`META`] that is there while an import is under way: a database with data and no layout version does not open.
const UNFINISHED: &[u8] = b"import";

/// How many entries are read at once, how many bytes are written at once.
const PAGE: usize = 512;
const CHUNK: usize = 8 << 20;

/// Why a database was not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The engine failed.
    #[error("the storage engine failed")]
    Engine(#[from] EngineError),
    /// The stream cannot be read or written.
    #[error("the export cannot be read or written")]
    Io(#[from] std::io::Error),
    /// The stream was not written by [`export`].
    #[error("this is not an export of a hearth database")]
    NotAnExport,
    /// The stream was written by a newer or older hearth.
    #[error("the export has format version {0}, this program knows {FORMAT}")]
    Format(u32),
    /// The stream is cut short or changed.
    #[error("the export is damaged")]
    Damaged,
    /// There is data already where it should go.
    #[error("the database is not empty")]
    NotEmpty,
}

/// Writes all that is in a database. Nobody else may change it meanwhile. Returns the number of entries.
pub async fn export(engine: &dyn Engine, to: &mut dyn Sink) -> Result<u64, TransferError> {
    let mut to = Hashed { stream: to, hash: Sha256::new() };
    to.write(MAGIC)?;
    to.write(&FORMAT.to_be_bytes())?;
    let mut count = 0_u64;
    for table in (0..=u8::MAX).map(Table::numbered) {
        let mut range = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
        loop {
            let page = engine.scan(table, range.clone(), Direction::Ascending, PAGE).await?;
            for (key, value) in &page {
                to.write(&[RECORD, table.id()])?;
                to.write(&length(key)?.to_be_bytes())?;
                to.write(&length(value)?.to_be_bytes())?;
                to.write(key)?;
                to.write(value)?;
                count += 1;
            }
            let Some((last, _)) = page.into_iter().last() else { break };
            range.continue_after(last, Direction::Ascending);
        }
    }
    to.write(&[END])?;
    to.write(&count.to_be_bytes())?;
    let Hashed { stream, hash } = to;
    stream.write_all(&hash.finalize())?;
    stream.flush()?;
    Ok(count)
}

fn length(bytes: &[u8]) -> Result<u32, TransferError> {
    u32::try_from(bytes.len()).map_err(|_| TransferError::Damaged)
}

/// Fills an empty database with an export. Returns the number of entries.
///
/// The database is durable and can be opened when this succeeds; when it fails or is interrupted, what is there
/// cannot be opened.
pub async fn import(engine: &dyn Engine, from: &mut dyn Read) -> Result<u64, TransferError> {
    if !is_empty(engine).await? {
        return Err(TransferError::NotEmpty);
    }
    let mut from = Hashed { stream: from, hash: Sha256::new() };
    if from.read::<12>().map_err(|_| TransferError::NotAnExport)? != *MAGIC {
        return Err(TransferError::NotAnExport);
    }
    let format = u32::from_be_bytes(from.read()?);
    if format != FORMAT {
        return Err(TransferError::Format(format));
    }
    let mark = |value| Write { table: META, key: UNFINISHED.to_vec(), value };
    engine.apply(&[mark(Some(Vec::new()))]).await?;
    let mut count = 0_u64;
    // What makes a database one that can be opened comes last, at once.
    let mut meta = vec![mark(None)];
    let (mut writes, mut bytes) = (Vec::new(), 0);
    while let Some(write) = from.record()? {
        count += 1;
        if write.table == META {
            meta.push(write);
            continue;
        }
        bytes += write.size();
        writes.push(write);
        if bytes >= CHUNK {
            engine.load(&writes).await?;
            writes.clear();
            bytes = 0;
        }
    }
    if u64::from_be_bytes(from.read()?) != count {
        return Err(TransferError::Damaged);
    }
    from.verify()?;
    engine.load(&writes).await?;
    engine.apply(&meta).await?;
    Ok(count)
}

/// Whether a database holds nothing at all.
pub(crate) async fn is_empty(engine: &dyn Engine) -> Result<bool, EngineError> {
    for table in (0..=u8::MAX).map(Table::numbered) {
        let all = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
        if !engine.scan(table, all, Direction::Ascending, 1).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A stream whose bytes are hashed as they pass.
struct Hashed<'a, S: ?Sized> {
    stream: &'a mut S,
    hash: Sha256,
}

impl Hashed<'_, dyn Sink + '_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.hash.update(bytes);
        Ok(self.stream.write_all(bytes)?)
    }
}

impl Hashed<'_, dyn Read + '_> {
    fn read<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], TransferError> {
        let mut bytes = [0; LENGTH];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), TransferError> {
        match self.stream.read_exact(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(TransferError::Damaged);
            }
            outcome => outcome?,
        }
        self.hash.update(bytes);
        Ok(())
    }

    /// The next record; `None` at the end.
    fn record(&mut self) -> Result<Option<Write>, TransferError> {
        match self.read()? {
            [END] => return Ok(None),
            [RECORD] => {}
            _ => return Err(TransferError::Damaged),
        }
        let [table] = self.read()?;
        let [key, value] = [u32::from_be_bytes(self.read()?), u32::from_be_bytes(self.read()?)];
        let key = self.bytes(key, Batch::MAX_KEY)?;
        let value = self.bytes(value, Batch::MAX_VALUE)?;
        Ok(Some(Write { table: Table::numbered(table), key, value: Some(value) }))
    }

    fn bytes(&mut self, length: u32, limit: usize) -> Result<Vec<u8>, TransferError> {
        let length = usize::try_from(length).ok().filter(|length| *length <= limit);
        let mut bytes = vec![0; length.ok_or(TransferError::Damaged)?];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn verify(mut self) -> Result<(), TransferError> {
        let expected = std::mem::take(&mut self.hash).finalize();
        if self.read::<32>()?.as_slice() == expected.as_slice() {
            return Ok(());
        }
        Err(TransferError::Damaged)
    }
}
