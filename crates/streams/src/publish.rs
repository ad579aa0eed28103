//! `publish`: writes correctly signed messages, as Caracal's own producers do.

use std::io::Write;
use std::time::{Duration, SystemTime};

use caracal_revocation_event::{MessageBuilder, OccurredAt};
use caracal_revocation_stream::Settings;
use serde::Serialize;

use crate::cli::{PublishArgs, PublishCommand, RevokeArgs};
use crate::outcome::{Failure, Outcome};
use crate::output::confirm;
use crate::publishing::{connect, verified};
use crate::record::changes;
use crate::revoke_many::revoke_many;
use crate::settings::Sources;
use crate::text::plain;

#[derive(Serialize)]
struct Published<'p> {
    stream: &'p str,
    id: String,
}

pub(crate) async fn publish(
    sources: &Sources,
    args: &PublishArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    if let PublishCommand::Revoke(revoke) = &args.what
        && (revoke.is_many() || revoke.is_run())
    {
        return revoke_many(sources, args, revoke, out).await;
    }
    let settings = sources.settings()?;
    let messages = messages(&args.what, SystemTime::now())?;
    let mut question = String::new();
    for message in &messages {
        question.push_str(&preview(&settings, message)?);
        question.push('\n');
    }
    question.push_str("Publish?");
    if !confirm(&question, args.yes)? {
        writeln!(out, "nothing was published")?;
        return Ok(Outcome::Negative);
    }
    let publisher = connect(&settings).await?;
    for message in messages {
        let stream = message.stream().name();
        let id = publisher.publish(message).await?.to_string();
        if args.json {
            serde_json::to_writer(&mut *out, &Published { stream, id })?;
            writeln!(out)?;
        } else {
            writeln!(out, "published to {stream} as {id}")?;
        }
    }
    Ok(Outcome::Ok)
}

/// Returns the messages to publish for a command line. As the Coordinator does, it publishes a
/// suspension to two streams, and a resumption to one.
fn messages(what: &PublishCommand, now: SystemTime) -> Result<Vec<MessageBuilder>, Failure> {
    let message = match what {
        PublishCommand::Revoke(args) => {
            let RevokeArgs { zone, session, root, agent_session, delegation, reason, .. } = &**args;
            let named = [session, root, agent_session, delegation];
            let Some(zone) = zone.as_deref().filter(|_| named.iter().any(|id| id.is_some())) else {
                return Err(Failure::new(
                    "nothing to revoke: pass --zone, and --session, --root, --agent-session or \
                     --delegation",
                ));
            };
            let mut message = MessageBuilder::revoke(zone, reason);
            let add =
                [MessageBuilder::session, MessageBuilder::root, MessageBuilder::agent_session]
                    .into_iter()
                    .chain([MessageBuilder::delegation_edge
                        as fn(MessageBuilder, &str) -> MessageBuilder]);
            for (id, add) in named.into_iter().zip(add) {
                message = id.iter().fold(message, |message, id| add(message, id));
            }
            message
        }
        PublishCommand::Keys { zone } => MessageBuilder::keys(zone),
        PublishCommand::Policy { zone, policy_set, version } => {
            let named = [("policy_set_id", policy_set), ("policy_set_version_id", version)];
            named.into_iter().fold(MessageBuilder::policies(zone), |message, (name, id)| {
                id.iter().fold(message, |message, id| message.with(name, id))
            })
        }
        PublishCommand::Delegation { zone, event, edges, epoch } => {
            let edges: Vec<&str> = edges.iter().map(String::as_str).collect();
            MessageBuilder::delegation(zone, (*event).into(), &edges, *epoch)
        }
        PublishCommand::Suspend(args) => {
            let (zone, session) = (&args.zone, &args.agent_session);
            let at = args.at.map_or_else(|| occurred(now), Ok)?;
            let revoke = MessageBuilder::revoke(zone, "suspended")
                .agent_session(session)
                .with("dedupe_key", &format!("agent_suspend:{session}:{at}"));
            return Ok(vec![MessageBuilder::suspend(zone, session, at), revoke]);
        }
        PublishCommand::Resume(args) => {
            let at = args.at.map_or_else(|| occurred(now), Ok)?;
            MessageBuilder::resume(&args.zone, &args.agent_session, at)
        }
    };
    Ok(vec![message])
}

fn occurred(now: SystemTime) -> Result<OccurredAt, Failure> {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    OccurredAt::from_unix(since)
        .ok_or_else(|| Failure::new("the clock of this machine is out of range: pass --at"))
}

/// Verifies a message as a consumer would. Returns its effect as text.
fn preview(settings: &Settings, message: &MessageBuilder) -> Result<String, Failure> {
    let stream = message.stream();
    verified(settings, message, |event| {
        let zone = event.zone().map(|zone| plain(zone.as_str()).into_owned()).unwrap_or_default();
        format!("{stream}: {} · zone {zone}", changes(event.changes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishes_suspension_twice_with_one_time() {
        let at = OccurredAt::parse("2026-11-20T10:00:00.123Z").unwrap();
        let what = crate::cli::SessionArgs {
            zone: "z-1".into(),
            agent_session: "gs-1".into(),
            at: Some(at),
        };
        let messages = messages(&PublishCommand::Suspend(what), SystemTime::now()).unwrap();
        let keys: Vec<_> = messages
            .into_iter()
            .map(|message| message.into_fields(None, SystemTime::now()))
            .filter_map(|fields| fields.into_iter().find(|(name, _)| name == "dedupe_key"))
            .map(|(_, value)| value)
            .collect();
        let time = "gs-1:2026-11-20T10:00:00.123Z";
        assert_eq!(keys, [format!("suspend:{time}"), format!("agent_suspend:{time}")]);
    }
}
