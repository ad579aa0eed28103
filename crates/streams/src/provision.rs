//! `provision` and `verify`: create or check the streams and groups of the contract.

use std::io::Write;

use caracal_revocation_admin::{Inspector, Provision, Provisioned};
use serde::Serialize;

use crate::cli::ReportArgs;
use crate::outcome::{Failure, Outcome};
use crate::settings::Sources;

/// The state of a stream or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Present,
    Made,
    Missing,
    WrongType,
}

#[derive(Debug, Serialize)]
struct StreamLine {
    stream: &'static str,
    state: State,
    length: u64,
    intended_length: Option<u64>,
    is_over: bool,
    groups: Vec<GroupLine>,
}

#[derive(Debug, Serialize)]
struct GroupLine {
    group: &'static str,
    state: State,
}

#[derive(Debug, Serialize)]
struct Report {
    provisioned: bool,
    streams: Vec<StreamLine>,
}

pub(crate) async fn provision(
    sources: &Sources,
    args: &ReportArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let mut inspector = Inspector::connect(&sources.server()?).await?;
    let found = inspector.provision().await?;
    let report = Report::of(&found, State::Made);
    report.write(args, out)?;
    // A key of another type is left unchanged, for the operator to resolve.
    Ok(if report.provisioned { Outcome::Ok } else { Outcome::Error })
}

pub(crate) async fn verify(
    sources: &Sources,
    args: &ReportArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let mut inspector = Inspector::connect(&sources.server()?).await?;
    let found = inspector.verify().await?;
    let report = Report::of(&found, State::Missing);
    report.write(args, out)?;
    if !args.json {
        let verdict = if report.provisioned {
            "all streams and groups exist: provisioning would change nothing"
        } else {
            "not provisioned: run caracal-streams provision"
        };
        writeln!(out, "{verdict}")?;
    }
    Ok(if report.provisioned { Outcome::Ok } else { Outcome::Negative })
}

impl Report {
    /// Builds the report. `missing` is the state for streams and groups that were missing: still
    /// missing, or created now.
    fn of(found: &[Provisioned], missing: State) -> Self {
        let state = |found| match found {
            Provision::Present => State::Present,
            Provision::Missing => missing,
            Provision::Obstructed => State::WrongType,
        };
        let line = |found: &Provisioned| StreamLine {
            stream: found.stream.name,
            state: state(found.state),
            length: found.length,
            intended_length: found.stream.intended_length,
            is_over: found.stream.is_over(found.length),
            groups: found
                .groups
                .iter()
                .map(|(group, found)| GroupLine { group, state: state(*found) })
                .collect(),
        };
        let streams: Vec<_> = found.iter().map(line).collect();
        let exists = |state| matches!(state, State::Present | State::Made);
        let provisioned = streams
            .iter()
            .all(|line| exists(line.state) && line.groups.iter().all(|group| exists(group.state)));
        Self { provisioned, streams }
    }

    fn write(&self, args: &ReportArgs, out: &mut impl Write) -> Result<(), Failure> {
        if args.json {
            serde_json::to_writer(&mut *out, self)?;
            writeln!(out)?;
            return Ok(());
        }
        for line in &self.streams {
            writeln!(out, "{:10} {}", line.state.label(), line.stream)?;
            for GroupLine { group, state } in &line.groups {
                writeln!(out, "{:10}   group {group}", state.label())?;
            }
        }
        for line in self.streams.iter().filter(|line| line.is_over) {
            let (stream, length) = (line.stream, line.length);
            let intended = line.intended_length.unwrap_or_default();
            writeln!(
                out,
                "warning: {stream} has {length} entries, over the intended {intended}: a group \
                 may have stopped reading (caracal-streams doctor), or it can be trimmed \
                 (caracal-streams retention plan)"
            )?;
        }
        for line in self.streams.iter().filter(|line| line.state == State::WrongType) {
            writeln!(
                out,
                "broken: the key {} holds another type, no stream, and was left unchanged: is this \
                 the right Redis?",
                line.stream
            )?;
        }
        Ok(())
    }
}

impl State {
    const fn label(self) -> &'static str {
        match self {
            Self::Present => "there",
            Self::Made => "made",
            Self::Missing => "missing",
            Self::WrongType => "no stream",
        }
    }
}
