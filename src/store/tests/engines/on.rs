//! Where a test's database is.

use std::path::Path;
use std::sync::Arc;

use store::{Engine, EngineKind, EngineOptions, Store, open, open_engine};

pub(crate) const ALL: [EngineKind; 3] = [EngineKind::Memory, EngineKind::Sled, EngineKind::Fjall];
pub(crate) const ON_DISK: [EngineKind; 2] = [EngineKind::Sled, EngineKind::Fjall];

pub(crate) const OPTIONS: EngineOptions = EngineOptions { cache_bytes: 16 << 20 };

pub(crate) fn engine(kind: EngineKind, folder: &Path) -> Arc<dyn Engine> {
    open_engine(kind, folder, OPTIONS).unwrap()
}

pub(crate) async fn store(kind: EngineKind, folder: &Path) -> Store {
    open(kind, folder, OPTIONS).await.unwrap()
}
