//! `publish`: writes correctly signed messages, as Caracal's own producers do.

use std::io::Write;
use std::time::{Duration, SystemTime};

use caracal_revocation_admin::Inspector;
use caracal_revocation_event::{Message, MessageBuilder, OccurredAt, Stream};
use caracal_revocation_stream::{InspectErrorKind, Publisher, Settings};
use serde::Serialize;

use crate::cli::{PublishArgs, PublishCommand};
use crate::outcome::{Failure, Outcome};
use crate::output::confirm;
use crate::record::changes;
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
    let publisher = match Publisher::connect(&settings).await {
        Ok(publisher) => publisher,
        Err(error) => return Err(cause(&settings).await.unwrap_or_else(|| error.into())),
    };
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

/// Returns the reason that Redis cannot be reached, with the remedy. Returns `None` if an
/// `Inspector` can connect.
async fn cause(settings: &Settings) -> Option<Failure> {
    let error = Inspector::connect(settings).await.err()?;
    // A producer may lack the rights of an operator.
    (error.kind() != InspectErrorKind::NotAllowed).then(|| error.into())
}

/// Returns the messages to publish for a command line. As the Coordinator does, it publishes a
/// suspension to two streams, and a resumption to one.
fn messages(what: &PublishCommand, now: SystemTime) -> Result<Vec<MessageBuilder>, Failure> {
    let message = match what {
        PublishCommand::Revoke { zone, session, root, agent_session, delegation, reason } => {
            let mut message = MessageBuilder::revoke(zone, reason);
            let named = [session, root, agent_session, delegation];
            if named.iter().all(|id| id.is_none()) {
                return Err(Failure::new(
                    "nothing to revoke: pass --session, --root, --agent-session or --delegation",
                ));
            }
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
    let stream: Stream = message.stream();
    let fields = message.clone().into_fields(settings.keys().signing_key(), SystemTime::now());
    let wire: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let rejected = |why: &dyn std::fmt::Display| {
        Failure::new(format!("consumers would reject this message: {why}"))
    };
    let event = settings.keys().verify(&Message::new(stream, &wire));
    let event = event.map_err(|rejection| rejected(&rejection))?;
    if event.is_recut() {
        return Err(rejected(&"it looks like a re-cut message"));
    }
    let zone = event.zone().map(|zone| plain(zone.as_str()).into_owned()).unwrap_or_default();
    Ok(format!("{stream}: {} · zone {zone}", changes(event.changes())))
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
