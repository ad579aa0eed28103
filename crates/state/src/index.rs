//! The index of revoked anchors, each with its expiry. It never evicts an entry.
//!
//! A lookup asks the filter first, without a lock. Only if the filter answers "maybe" does the
//! lookup take the read lock of one shard of the exact table. Writes are serialized. An entry
//! enters the table before its bits enter the filter, so a reader that sees the bits finds the
//! entry.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError};

use crate::clock::Minute;
use crate::digest::{Digest, DigestKeys, Digester};
use crate::filter::Filter;
use crate::filter_cell::FilterCell;
use crate::suspensions::Suspensions;
use crate::sync::{
    Arc, AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, RwLock, RwLockReadGuard,
    RwLockWriteGuard,
};
use crate::table::Table;

mod additions;
mod export;
mod view;

use additions::Additions;
pub(crate) use additions::Parts;
pub(crate) use view::Mark;

/// The number of shards. With ten million entries, a shard has 2,500, and grows within 50 µs.
#[cfg(not(loom))]
const SHARDS: usize = 4_096;
/// The number of shards under loom. Few keep the model checker's search small: it tries every
/// interleaving.
#[cfg(loom)]
const SHARDS: usize = 2;

/// The number of slices that sweeps take in turn, each of some shards.
const SLICES: usize = if SHARDS < 256 { SHARDS } else { 256 };

/// The room for keys that even a filter of few has.
const SPARE_KEYS: usize = 512;

/// The number of words by which a step grows a new filter.
const WORDS: usize = 8_192;

/// The number of digests after which a step of a rebuild ends with its shard. It keeps every write
/// short, and a rebuild to few writes.
#[cfg(not(loom))]
const STEP: usize = 1_024;
/// Under loom, a step is one shard.
#[cfg(loom)]
const STEP: usize = 1;

#[derive(Debug)]
pub(crate) struct Index {
    /// The keys of the digests, created for the first anchor or with the keys of a restored
    /// snapshot.
    digester: OnceLock<Digester>,
    /// The number of anchors and sessions; if it is zero, a lookup does nothing else.
    entries: AtomicUsize,
    additions: Additions,
    /// The largest number of entries.
    max_entries: usize,
    /// `true` once an anchor or session was dropped for lack of room.
    full: AtomicBool,
    filter: FilterCell,
    shards: Box<[RwLock<Table>]>,
    sessions: RwLock<HashMap<Digest, Session>>,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Session {
    suspensions: Suspensions,
    expires: Minute,
}

/// The state that only a writer needs.
#[derive(Debug)]
struct Writer {
    /// The filter that readers use.
    filter: Arc<Filter>,
    /// Keys added to the current filter since it was built, expired ones included.
    filtered: usize,
    rebuild: Option<Rebuild>,
    /// The slice that the next sweep takes.
    next_slice: usize,
}

/// A new filter, which each write completes a little further.
#[derive(Debug)]
enum Rebuild {
    /// The filter lacks words. Creating millions of them at once would take 20 ms.
    Growing(Filter),
    /// The filter is being filled, some shards at a time.
    Filling { filter: Filter, next_shard: usize, filtered: usize },
}

impl Index {
    pub(crate) fn with_room_for(max_entries: usize) -> Self {
        let filter = Arc::new(Filter::for_keys(0));
        Self {
            digester: OnceLock::new(),
            entries: AtomicUsize::new(0),
            additions: Additions::new(),
            max_entries,
            full: AtomicBool::new(false),
            filter: FilterCell::new(Arc::clone(&filter)),
            shards: (0..SHARDS).map(|_| RwLock::new(Table::default())).collect(),
            sessions: RwLock::new(HashMap::new()),
            writer: Mutex::new(Writer { filter, filtered: 0, rebuild: None, next_slice: 0 }),
        }
    }

    #[inline]
    fn digester(&self) -> &Digester {
        self.digester.get_or_init(|| Digester::new(DigestKeys::random()))
    }

    /// Returns the digest of this id under this index's keys.
    pub(crate) fn digest(&self, id: &str) -> Digest {
        self.digester().digest(id)
    }

    /// Returns the number of anchors and sessions.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.load(Ordering::Acquire)
    }

    /// Returns the counts of the entries ever added.
    #[inline]
    pub(crate) const fn additions(&self) -> &Additions {
        &self.additions
    }

    /// Returns the bytes of memory that grow with the number of entries.
    pub(crate) fn bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(|shard| read(shard).bytes()).sum();
        let sessions = read(&self.sessions).capacity() * size_of::<(Digest, Session)>();
        tables + sessions + self.filter.load().bytes()
    }

    /// Returns `true` if an anchor or session was dropped for lack of room since [`Index::reopen`].
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Returns `true` if an eighth of the room is free, rounded up: enough to clear the full state.
    pub(crate) fn has_room(&self) -> bool {
        self.len() <= self.max_entries - self.max_entries.div_ceil(8)
    }

    /// Clears the full state. The caller raises the horizon for the dropped entries.
    pub(crate) fn reopen(&self) {
        self.full.store(false, Ordering::Release);
    }

    /// Revokes the anchor until the minute `expires`; never shortens an earlier revocation. Returns
    /// `true` if the anchor is new.
    pub(crate) fn revoke(&self, anchor: Digest, expires: Minute) -> bool {
        let mut writer = lock(&self.writer);
        // rule: index-never-evicts
        let is_new = self.insert(&mut writer, anchor, expires);
        self.step_rebuild(&mut writer);
        is_new
    }

    /// Makes room for this many anchors in an empty index, so that adding them moves none. The
    /// caller finishes the rebuild after it has added them.
    fn reserve(&self, writer: &mut Writer, anchors: usize) {
        for shard in &self.shards {
            write(shard).reserve(anchors / SHARDS);
        }
        writer.rebuild = Some(Rebuild::for_keys(anchors));
    }

    fn insert(&self, writer: &mut Writer, digest: Digest, expires: Minute) -> bool {
        let Some(shard) = self.shard(digest) else { return false };
        if !self.admits(|| read(shard).contains(digest)) {
            return false;
        }
        let is_new = write(shard).insert(digest, expires);
        if is_new {
            self.entries.fetch_add(1, Ordering::Release);
            self.note(writer, digest);
        }
        is_new
    }

    /// Returns the fast hash of the id, which identifies the anchor in this process.
    pub(crate) fn hash(&self, id: &str) -> u64 {
        self.digester().fast(id)
    }

    /// Changes the suspensions of a session. Returns `true` if they differ from before.
    pub(crate) fn suspend(
        &self,
        digest: Digest,
        expires: Minute,
        change: impl FnOnce(&mut Suspensions),
    ) -> bool {
        let mut writer = lock(&self.writer);
        if !self.admits(|| read(&self.sessions).contains_key(&digest)) {
            return false;
        }
        let mut sessions = write(&self.sessions);
        let known = sessions.len();
        let session = sessions.entry(digest).or_default();
        let before = session.suspensions.clone();
        change(&mut session.suspensions);
        let is_changed = session.suspensions != before;
        session.expires = session.expires.max(expires);
        let is_new = sessions.len() > known;
        drop(sessions);
        if is_new {
            self.entries.fetch_add(1, Ordering::Release);
            self.note(&mut writer, digest);
        }
        self.step_rebuild(&mut writer);
        is_changed
    }

    /// Removes the entries of the next slice that expired before the minute `now`. After a full
    /// round of slices, every expired entry is gone.
    pub(crate) fn sweep_slice(&self, now: Minute) {
        let mut writer = lock(&self.writer);
        let slice = writer.next_slice;
        writer.next_slice = (slice + 1) % SLICES;
        let shards = self.shards.iter().skip(slice).step_by(SLICES);
        let mut expired: usize = shards.map(|shard| write(shard).sweep(now)).sum();
        if slice == 0 {
            let mut sessions = write(&self.sessions);
            let known = sessions.len();
            sessions.retain(|_, session| session.expires >= now);
            expired += known - sessions.len();
        }
        let left = self.entries.fetch_sub(expired, Ordering::Release) - expired;
        let is_round = writer.next_slice == 0;
        if is_round && writer.rebuild.is_none() && writer.filtered > (left * 2).max(1_024) {
            writer.rebuild = Some(Rebuild::for_keys(left));
        }
        self.step_rebuild(&mut writer);
    }

    /// Removes the expired entries of every slice at once.
    pub(crate) fn sweep(&self, now: Minute) {
        (0..SLICES).for_each(|_| self.sweep_slice(now));
    }

    /// Returns `true` if there is room for an entry, or it exists already. Otherwise marks the
    /// index as full. The caller holds the writer's lock.
    fn admits(&self, is_known: impl FnOnce() -> bool) -> bool {
        let admits = self.len() < self.max_entries || is_known();
        if !admits {
            self.full.store(true, Ordering::Release);
        }
        admits
    }

    fn shard(&self, digest: Digest) -> Option<&RwLock<Table>> {
        // Uses the lowest of the strong bits, because the table places entries by the highest.
        self.shards.get(digest.strong() as usize % SHARDS)
    }

    /// Adds a new key to the filters.
    fn note(&self, writer: &mut Writer, digest: Digest) {
        writer.filter.add(digest.fast());
        writer.filtered += 1;
        match &mut writer.rebuild {
            // Before the filter is filled, no shard was added yet: the entry will be found there.
            Some(Rebuild::Growing(_)) => {}
            Some(Rebuild::Filling { filter, filtered, .. }) => {
                filter.add_unshared(digest.fast());
                *filtered += 1;
            }
            None if writer.filtered > writer.filter.capacity() => {
                writer.rebuild = Some(Rebuild::for_keys(self.len()));
            }
            None => {}
        }
        // Last, because a reader that sees the count must find the entry.
        self.additions.add(digest);
    }

    fn finish_rebuild(&self) {
        while lock(&self.writer).rebuild.is_some() {
            self.step_rebuild(&mut lock(&self.writer));
        }
    }

    /// Advances the filter that is being rebuilt by some words or shards, and installs it after the
    /// last shard.
    fn step_rebuild(&self, writer: &mut Writer) {
        let (mut filter, mut next_shard, mut filtered) = match writer.rebuild.take() {
            None => return,
            Some(Rebuild::Growing(mut filter)) => {
                if !filter.grow(WORDS) {
                    writer.rebuild = Some(Rebuild::Growing(filter));
                    return;
                }
                (filter, 0, 0)
            }
            Some(Rebuild::Filling { filter, next_shard, filtered }) => {
                (filter, next_shard, filtered)
            }
        };
        let enough = filtered + STEP;
        let mut add = |digest: Digest| {
            filter.add_unshared(digest.fast());
            filtered += 1;
            filtered < enough
        };
        let mut goes_on = true;
        while goes_on && let Some(shard) = self.shards.get(next_shard) {
            next_shard += 1;
            read(shard).digests().for_each(|digest| goes_on = add(digest));
        }
        if !goes_on {
            writer.rebuild = Some(Rebuild::Filling { filter, next_shard, filtered });
            return;
        }
        read(&self.sessions).keys().for_each(|digest| goes_on = add(*digest));
        let filter = Arc::new(filter);
        self.filter.store(Arc::clone(&filter));
        (writer.filter, writer.filtered) = (filter, filtered);
    }
}

impl Rebuild {
    fn for_keys(keys: usize) -> Self {
        // Room for half as many keys again, of which some are added during the rebuild.
        Self::Growing(Filter::without_words(keys + keys / 2 + SPARE_KEYS))
    }
}

// A poisoned lock is used as it is. No code under these locks panics, and failing to read would
// turn a bug elsewhere into an outage here.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
