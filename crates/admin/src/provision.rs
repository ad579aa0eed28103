//! Creates the missing streams and groups of the contract, and changes nothing that exists.

use caracal_revocation_stream::InspectError;
use caracal_revocation_stream::internal::{LogError, reply};
use redis::Pipeline;

use crate::inspector::{Inspector, KeyReport};
use crate::layout::StreamLayout;

/// The state of one stream of the contract, before provisioning changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provisioned {
    /// The stream.
    pub stream: &'static StreamLayout,
    /// The state of its key.
    pub state: Provision,
    /// The number of its entries.
    pub length: u64,
    /// The state of each of its groups.
    pub groups: Vec<(&'static str, Provision)>,
}

/// The state of a stream or a group. It determines the action of provisioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provision {
    /// The stream or group exists: provisioning leaves it unchanged.
    Present,
    /// The stream or group is missing: provisioning creates it.
    Missing,
    /// The stream's key holds a value that is not a stream: provisioning leaves it unchanged.
    Obstructed,
}

impl Provisioned {
    /// Returns `true` if the stream and all its groups exist.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == Provision::Present
            && self.groups.iter().all(|(_, group)| *group == Provision::Present)
    }

    fn of(stream: &'static StreamLayout, found: &KeyReport) -> Self {
        let (state, length, present): (_, _, &[String]) = match found {
            KeyReport::Missing => (Provision::Missing, 0, &[]),
            KeyReport::NoStream => (Provision::Obstructed, 0, &[]),
            // A stream without groups is provisioned with one entry.
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
    /// Returns the state of each stream of the contract, without changing it.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub async fn verify(&mut self) -> Result<Vec<Provisioned>, InspectError> {
        let mut all = Vec::with_capacity(StreamLayout::ALL.len());
        for stream in &StreamLayout::ALL {
            let found = self.stream(stream.name).await?;
            all.push(Provisioned::of(stream, &found));
        }
        Ok(all)
    }

    /// Creates the missing streams and groups. Returns the state of each stream before that.
    ///
    /// A second call changes nothing. Several processes may provision at once.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error. Streams and groups that
    /// were created before the error stay.
    pub async fn provision(&mut self) -> Result<Vec<Provisioned>, InspectError> {
        let found = self.verify().await?;
        for provisioned in &found {
            for (group, state) in &provisioned.groups {
                if *state == Provision::Missing {
                    self.create_group(provisioned.stream.name, group).await?;
                }
            }
            if provisioned.groups.is_empty() && provisioned.state == Provision::Missing {
                self.create_single_entry(provisioned.stream.name).await?;
            }
        }
        Ok(found)
    }

    async fn create_group(&mut self, stream: &str, group: &str) -> Result<(), InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("XGROUP").arg("CREATE").arg(stream).arg(group).arg("$").arg("MKSTREAM");
        match self.links.run(stream, &commands).await {
            // Another process created it first.
            Err(LogError::Redis(message)) if message.starts_with("BUSYGROUP") => Ok(()),
            other => Ok(other.map(|_| ())?),
        }
    }

    /// Adds the one entry, unless another process adds it first.
    async fn create_single_entry(&mut self, stream: &str) -> Result<(), InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("WATCH").arg(stream).cmd("XLEN").arg(stream);
        let answers = self.links.run(stream, &commands).await?;
        let length = answers.last().map(reply::number).transpose()?;
        let mut commands = Pipeline::new();
        if length == Some(0) {
            commands.cmd("MULTI").cmd("XADD").arg(stream);
            commands.arg("MAXLEN").arg("~").arg(1).arg("*").arg("init").arg(1).cmd("EXEC");
        } else {
            commands.cmd("UNWATCH");
        }
        // `WATCH` applies to its own connection: the transaction must use the same one.
        Ok(self.links.to(stream).await?.run(&commands).await.map(|_| ())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspector::StreamReport;

    #[test]
    fn stream_is_complete_with_all_its_groups() {
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
    fn stream_without_groups_needs_an_entry() {
        let limits = &StreamLayout::ALL[8];
        let mut report = StreamReport::default();
        assert!(!Provisioned::of(limits, &KeyReport::Stream(report.clone())).is_complete());
        report.length = 1;
        assert!(Provisioned::of(limits, &KeyReport::Stream(report)).is_complete());
    }
}
