//! Finds the anchors to revoke: in a file, in Caracal's Postgres, or in the flags.

use std::path::Path;

use caracal_revocation_postgres::{Postgres, Selection};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::input;
use super::item::Item;
use super::plan::{self, Radius};
use crate::cli::RevokeArgs;
use crate::outcome::Failure;
use crate::settings::Sources;

/// The messages to publish, and where they come from.
#[derive(Debug)]
pub(super) struct Found {
    /// The source as text: a file, or the criteria.
    pub(super) name: String,
    pub(super) items: Vec<Item>,
    /// The number of lines of a file that repeat an earlier one.
    pub(super) repeated: usize,
    /// A text that differs for different inputs. Two selections with the same criteria are the
    /// same input, also if Postgres has changed.
    pub(super) identity: String,
    /// The blast radius, if Postgres was read.
    pub(super) radius: Option<Radius>,
}

pub(super) async fn find(sources: &Sources, args: &RevokeArgs) -> Result<Found, Failure> {
    if let Some(path) = &args.source.from_file {
        return from_file(sources, args, path).await;
    }
    if !args.is_many() {
        let item = from_flags(args)?;
        return of_items(sources, args, "the flags".to_owned(), vec![item], 0).await;
    }
    let selection = Selection {
        application: args.source.application.clone(),
        subject: args.source.subject.clone(),
        zone: args.zone.clone(),
        grant: args.source.grant.clone(),
        issued_before: args.source.issued_before,
        ids: None,
    };
    let selected = postgres(sources)?.select(&selection).await?;
    let before = selection.issued_before.map(|time| time.to_string());
    let criteria =
        json!([selection.application, selection.subject, selection.zone, selection.grant, before,]);
    Ok(Found {
        name: format!("{selection}, in Postgres"),
        items: plan::items(&selected),
        repeated: 0,
        identity: json!(["selection", args.reason, criteria]).to_string(),
        radius: Some(Radius::of(&selected)),
    })
}

async fn from_file(sources: &Sources, args: &RevokeArgs, path: &Path) -> Result<Found, Failure> {
    let bytes = input::read(path)?;
    let input = input::parse(&bytes, args.source.kind, args.zone.as_deref())?;
    let name = if path.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    of_items(sources, args, name, input.items, input.repeated).await
}

async fn of_items(
    sources: &Sources,
    args: &RevokeArgs,
    name: String,
    items: Vec<Item>,
    repeated: usize,
) -> Result<Found, Failure> {
    let mut digest = Sha256::new();
    items.iter().for_each(|item| digest.update(item.digest()));
    let digest: [u8; 32] = digest.finalize().into();
    let identity = json!(["items", args.reason, digest]).to_string();
    // Only a dry run needs the radius, and not every operator may read Postgres.
    let is_known =
        ["DATABASE_URL", "DATABASE_URL_FILE"].iter().any(|it| sources.find(it).is_some());
    let radius = if args.run.dry_run && is_known {
        let ids = items.iter().flat_map(Item::anchors).map(|(_, id)| id.to_owned()).collect();
        let selection = Selection { ids: Some(ids), ..Selection::default() };
        Some(Radius::of(&postgres(sources)?.select(&selection).await?))
    } else {
        None
    };
    Ok(Found { name, items, repeated, identity, radius })
}

/// Returns the item of a command line without a source of many.
fn from_flags(args: &RevokeArgs) -> Result<Item, Failure> {
    let RevokeArgs { zone, session, root, agent_session, delegation, .. } = args;
    let item = Item {
        zone_id: zone.clone(),
        session_id: session.clone(),
        root_sid: root.clone(),
        agent_session_id: agent_session.clone(),
        delegation_edge_id: delegation.clone(),
        reason: None,
    };
    let is_complete = item.zone_id.is_some() && item.anchors().next().is_some();
    is_complete.then_some(item).ok_or_else(|| Failure::new(NOTHING))
}

const NOTHING: &str = "nothing to revoke: pass --zone, and --session, --root, --agent-session or \
                       --delegation; or --from-file, or criteria such as --application";

fn postgres(sources: &Sources) -> Result<Postgres, Failure> {
    Postgres::from_lookup(|name| sources.find(name))
        .map_err(|error| Failure::new(error.to_string()))
}
