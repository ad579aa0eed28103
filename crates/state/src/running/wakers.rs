//! Who is to be woken: the few tasks in which the parts of one request wait.

use std::task::Waker;

use smallvec::SmallVec;

/// One place for each part that waits; most requests have one or two.
#[derive(Debug, Default)]
pub(super) struct Wakers(SmallVec<[Option<Waker>; 2]>);

impl Wakers {
    /// Puts the waker into the part's place, or into a free one; which one that is.
    pub(super) fn set(&mut self, place: Option<u32>, waker: &Waker) -> Option<u32> {
        let known = place.and_then(|place| self.0.get_mut(place as usize));
        if let Some(known) = known {
            match known {
                Some(known) => known.clone_from(waker),
                None => *known = Some(waker.clone()),
            }
            return place;
        }
        let at = match self.0.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.0.push(None);
                self.0.len() - 1
            }
        };
        if let Some(free) = self.0.get_mut(at) {
            *free = Some(waker.clone());
        }
        u32::try_from(at).ok()
    }

    /// Frees the place. What was in it is handed out, so that it is dropped outside the lock.
    pub(super) fn free(&mut self, place: u32) -> Option<Waker> {
        self.0.get_mut(place as usize).and_then(Option::take)
    }

    /// All of them, for whoever wakes them outside the lock; the places stay whose they are.
    pub(super) fn take(&mut self) -> SmallVec<[Waker; 2]> {
        self.0.iter_mut().filter_map(Option::take).collect()
    }
}
