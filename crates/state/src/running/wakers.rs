//! Who is to be woken: the few tasks in which the parts of one request wait.

use std::task::Waker;

use smallvec::SmallVec;

/// One place for each part that waits; most requests have one or two.
///
/// It stands behind a lock, and a waker's code is its runtime's: to clone, wake or drop one can ask
/// for that lock. So each is cloned before it comes in here, and handed out to be woken or dropped.
#[derive(Debug, Default)]
pub(super) struct Wakers(SmallVec<[Option<Waker>; 2]>);

impl Wakers {
    /// Returns `true` if the part's place holds a waker of the same task.
    pub(super) fn would_wake(&self, place: Option<u32>, waker: &Waker) -> bool {
        let held = place.and_then(|place| self.0.get(place as usize)?.as_ref());
        held.is_some_and(|held| held.will_wake(waker))
    }

    /// Puts the waker into the part's place, or into a free one. Returns which one that is, and
    /// the waker that was in it.
    pub(super) fn set(&mut self, place: Option<u32>, waker: Waker) -> (Option<u32>, Option<Waker>) {
        let own = place.map(|place| place as usize).filter(|place| *place < self.0.len());
        let at = own.or_else(|| self.0.iter().position(Option::is_none)).unwrap_or(self.0.len());
        if at == self.0.len() {
            self.0.push(None);
        }
        let replaced = self.0.get_mut(at).and_then(|free| free.replace(waker));
        (u32::try_from(at).ok(), replaced)
    }

    /// Frees the place. Returns the waker that was in it.
    pub(super) fn free(&mut self, place: u32) -> Option<Waker> {
        self.0.get_mut(place as usize).and_then(Option::take)
    }

    /// Takes out all of them; the places stay whose they are.
    pub(super) fn take(&mut self) -> SmallVec<[Waker; 2]> {
        self.0.iter_mut().filter_map(Option::take).collect()
    }
}
