//! Makes the streams and groups of the contract where they are missing, and rewrites nothing.

use caracal_revocation_stream::InspectError;
use caracal_revocation_stream::internal::{LogError, reply};
use redis::Pipeline;

use crate::inspector::{Inspector, KeyReport};
use crate::layout::StreamLayout;

/// One stream of the contract, and what provisioning it takes or took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provisioned {
    /// The stream.
    pub stream: &'static StreamLayout,
    /// It was there, or not.
    pub state: Provision,
    /// How many entries it had.
    pub length: u64,
    /// Its groups, and whether they were there.
    pub groups: Vec<(&'static str, Provision)>,
}

/// What was found, and so what is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provision {
    /// It is there: nothing to do.
    Present,
    /// It is missing: to be made.
    Missing,
    /// The key holds something that is no stream, which is left alone.
    Obstructed,
}

impl Provisioned {
    /// Returns `true` if there is nothing to do.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == Provision::Present
            && self.groups.iter().all(|(_, group)| *group == Provision::Present)
    }

    fn of(stream: &'static StreamLayout, found: &KeyReport) -> Self {
        let (state, length, present): (_, _, &[String]) = match found {
            KeyReport::Missing => (Provision::Missing, 0, &[]),
            KeyReport::NoStream => (Provision::Obstructed, 0, &[]),
            // A stream without groups is kept by its one entry.
            KeyReport::Stream(found) if stream.groups.is_empty() && found.length == 0 => {
                (Provision::Missing, 0, &[])
            }
            KeyReport::Stream(found) => (Provision::Present, found.length, &found.groups),
        };
        let group = |name: &&'static str| {
            let found = match state {
                Provision::Obstructed => Provision::Obstructed,
                _ if present.iter().any(|present| present == name) => Provision::Present,
                _ => Provision::Missing,
            };
            (*name, found)
        };
        Self { stream, state, length, groups: stream.groups.iter().map(group).collect() }
    }
}

impl Inspector {
    /// What provisioning would find, and so do, for each stream of the contract. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say.
    pub async fn verify(&mut self) -> Result<Vec<Provisioned>, InspectError> {
        let mut all = Vec::with_capacity(StreamLayout::ALL.len());
        for stream in &StreamLayout::ALL {
            let found = self.stream(stream.name).await?;
            all.push(Provisioned::of(stream, &found));
        }
        Ok(all)
    }

    /// Makes what is missing, and tells what was: done again, it changes nothing. Several may
    /// do it at once.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis refuses; what was made until then stays.
    pub async fn provision(&mut self) -> Result<Vec<Provisioned>, InspectError> {
        let found = self.verify().await?;
        for provisioned in &found {
            for (group, state) in &provisioned.groups {
                if *state == Provision::Missing {
                    self.make_group(provisioned.stream.name, group).await?;
                }
            }
            if provisioned.groups.is_empty() && provisioned.state == Provision::Missing {
                self.make_single_entry(provisioned.stream.name).await?;
            }
        }
        Ok(found)
    }

    async fn make_group(&mut self, stream: &str, group: &str) -> Result<(), InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("XGROUP").arg("CREATE").arg(stream).arg(group).arg("$").arg("MKSTREAM");
        match self.links.tell(stream, &commands).await {
            // Somebody else was faster.
            Err(LogError::Redis(words)) if words.starts_with("BUSYGROUP") => Ok(()),
            other => Ok(other.map(|_| ())?),
        }
    }

    /// Adds the one entry unless somebody else adds it first.
    async fn make_single_entry(&mut self, stream: &str) -> Result<(), InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("WATCH").arg(stream).cmd("XLEN").arg(stream);
        let answers = self.links.tell(stream, &commands).await?;
        let length = answers.last().map(reply::number).transpose()?;
        let mut commands = Pipeline::new();
        if length == Some(0) {
            commands.cmd("MULTI").cmd("XADD").arg(stream);
            commands.arg("MAXLEN").arg("~").arg(1).arg("*").arg("init").arg(1).cmd("EXEC");
        } else {
            commands.cmd("UNWATCH");
        }
        // On the connection that watches the stream, and on no other.
        Ok(self.links.to(stream).await?.tell(&commands).await.map(|_| ())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspector::StreamReport;

    #[test]
    fn a_stream_is_complete_with_all_its_groups() {
        let audit = &StreamLayout::ALL[0];
        let with = |groups: &[&str]| {
            let groups = groups.iter().map(|name| (*name).to_owned()).collect();
            let report = StreamReport { groups, ..StreamReport::default() };
            Provisioned::of(audit, &KeyReport::Stream(report))
        };
        assert!(with(&["another", "siem-export", "audit-ingestor"]).is_complete());
        let partial = with(&["audit-ingestor"]);
        assert!(!partial.is_complete());
        assert_eq!(partial.groups[1], ("siem-export", Provision::Missing));
        assert!(!Provisioned::of(audit, &KeyReport::Missing).is_complete());
        let obstructed = Provisioned::of(audit, &KeyReport::NoStream);
        assert_eq!(obstructed.groups[0].1, Provision::Obstructed);
    }

    #[test]
    fn a_stream_without_groups_needs_its_entry() {
        let limits = &StreamLayout::ALL[8];
        let mut report = StreamReport::default();
        assert!(!Provisioned::of(limits, &KeyReport::Stream(report.clone())).is_complete());
        report.length = 1;
        assert!(Provisioned::of(limits, &KeyReport::Stream(report)).is_complete());
    }
}
