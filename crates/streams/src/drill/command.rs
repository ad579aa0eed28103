//! The command `drill`: one drill, or repeated ones.

use super::http_client::HttpClient;
use super::probe::Probe;
use super::prober::repeat;
use super::run::Plan;
use crate::cli::DrillArgs;
use crate::outcome::{Failure, Outcome};
use crate::output::{Output, confirm};
use crate::settings::Sources;

use std::io::Write;

/// The zone in the message of a drill without a token. It exists nowhere.
const ZONE: &str = "caracal-drill";

pub(crate) async fn drill(
    sources: &Sources,
    args: &DrillArgs,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let settings = sources.settings()?;
    let probe = match (&args.probe, &args.probe_token_file) {
        (Some(url), Some(file)) => {
            let (anchor, zone) = (args.probe_anchor.as_deref(), args.zone.as_deref());
            Some(Probe::read(url.clone(), file, anchor, zone, args.within)?)
        }
        _ => None,
    };
    let plan = Plan {
        settings: &settings,
        within: args.within,
        replicas: args.replicas.map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
        services: &args.ready,
        zone: args.zone.as_deref().unwrap_or(ZONE),
        probe,
        client: HttpClient::for_urls(args.ready.iter().chain(&args.probe))?,
    };
    if let Some(every) = args.every {
        return repeat(&plan, every, args.metrics_listen, args.json, out).await;
    }
    if let Some(probe) = &plan.probe {
        probe.check_admitted(&plan.client).await?;
        if !confirm(&probe.question(), args.yes)? {
            writeln!(out, "nothing was published")?;
            return Ok(Outcome::Negative);
        }
        // The answer may have taken longer than the token lives.
        probe.check_lifetime(args.within)?;
    }
    let report = plan.run().await.map_err(|no_answer| no_answer.failure)?;
    if args.json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        report.write(out)?;
    }
    Ok(report.outcome())
}
