//! The mark of a dead-letter stream: an id up to which every letter was written, and single ids of
//! letters beyond it.
//!
//! Followers read messages in the order of the stream, so the last id covers all letters that they
//! wrote. A consumer group delivers them in any order, so their ids are kept one by one until a
//! follower has passed them.

use std::fmt;

use caracal_revocation_event::StreamId;

/// The largest number of ids in [`Mark::beyond`]. One more drops the lowest: a follower that starts
/// later may then write a second letter for that message, but no letter is lost.
const MAX_BEYOND: usize = 256;

/// The order in which a writer receives the messages of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In the order of the stream, as a follower does.
    Stream,
    /// In any order, as a consumer group delivers them.
    Any,
}

/// The messages of one stream that were dead-lettered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    up_to: StreamId,
    /// The ids of letters above `up_to`, sorted.
    beyond: Vec<StreamId>,
}

impl Mark {
    /// Parses ids with spaces between them. Any other text was not written by this crate, and gives
    /// an empty mark.
    pub(super) fn parse(text: &str) -> Self {
        let ids: Result<Vec<StreamId>, _> = text.split(' ').map(str::parse).collect();
        let mut ids = ids.unwrap_or_default().into_iter();
        Self { up_to: ids.next().unwrap_or_default(), beyond: ids.collect() }
    }

    /// Returns the id up to which all letters were written.
    pub(super) const fn up_to(&self) -> StreamId {
        self.up_to
    }

    /// Returns `true` if the message at `id` was dead-lettered.
    pub(super) fn covers(&self, id: StreamId) -> bool {
        id <= self.up_to || self.beyond.contains(&id)
    }

    /// Adds the message at `id`. Returns `true` if the mark changed.
    pub(super) fn add(&mut self, id: StreamId, order: Order) -> bool {
        match order {
            _ if id <= self.up_to => false,
            Order::Stream => {
                self.up_to = id;
                self.beyond.retain(|beyond| *beyond > id);
                true
            }
            Order::Any if self.covers(id) => false,
            Order::Any => {
                self.beyond.push(id);
                self.beyond.sort_unstable();
                let surplus = self.beyond.len().saturating_sub(MAX_BEYOND);
                self.beyond.drain(..surplus);
                true
            }
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.up_to.fmt(f)?;
        self.beyond.iter().try_for_each(|id| write!(f, " {id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    #[test]
    fn follower_passes_ids_of_consumer_group() {
        let mut mark = Mark::parse("5-0");
        assert!(mark.add(id(9), Order::Any));
        assert!(mark.add(id(7), Order::Any), "a group delivers in any order");
        assert_eq!(mark.to_string(), "5-0 7-0 9-0");
        assert_eq!(Mark::parse("5-0 7-0 9-0"), mark);
        assert!(!mark.add(id(7), Order::Any) && mark.covers(id(7)) && !mark.covers(id(8)));
        assert!(mark.add(id(7), Order::Stream), "the mark moves, though the letter is written");
        assert_eq!(mark.to_string(), "7-0 9-0");
        assert!(!mark.add(id(6), Order::Any), "the follower had passed it");
        assert!(mark.add(id(10), Order::Stream));
        assert_eq!(mark.to_string(), "10-0");
    }

    #[test]
    fn replaces_invalid_mark() {
        for text in ["", "x", "1-0 x", "1-0  2-0"] {
            assert_eq!(Mark::parse(text), Mark::default(), "{text}");
        }
    }

    #[test]
    fn keeps_a_bounded_number_of_ids() {
        let mut mark = Mark::default();
        for ms in 1..=300 {
            mark.add(id(ms), Order::Any);
        }
        assert!(mark.covers(id(300)) && mark.covers(id(45)) && !mark.covers(id(44)));
    }
}
