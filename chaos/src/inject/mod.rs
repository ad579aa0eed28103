//! Injects a fault, and observes its effect.

mod clock;
mod elected;
mod extra_readers;
mod foreign_snapshot;
mod forgery;
mod full;
mod log;
mod network;
mod reader;
mod recut;
mod replica;
mod reuse;
mod rotation;
mod server;
mod sizes;
mod unprovisioned;
mod waiting;

use crate::failure::Failure;
use crate::fault::{Affected, Fault, Kind};
use crate::history::{GapScope, Injected, Scope};
use crate::readers::Reader;
use crate::time::At;
use crate::world::World;

/// The observations of an injected fault.
struct Outcome {
    began: At,
    ended: At,
    /// The readers that it affects, if the fault itself does not name them.
    scope: Option<Scope>,
    disturbs: bool,
    gap: GapScope,
    /// The observed effect; `None` if there was no visible effect.
    effect: Option<String>,
}

/// Injects the fault and waits until it is over.
pub async fn inject(world: &World, fault: &Fault) -> Result<(), Failure> {
    let began = world.clock.now();
    let outcome = match fault.kind {
        Kind::Kill | Kind::LoseTail | Kind::LoseAll => server::kill(world, fault, began).await?,
        Kind::Freeze => server::freeze(world, fault, began).await?,
        Kind::Failover | Kind::LossyFailover => server::fail_over(world, fault).await?,
        Kind::Cut => network::cut(world, fault, began).await,
        Kind::Stall => network::stall(world, fault, began).await,
        Kind::OneWay => network::one_way(world, fault, began).await,
        Kind::Slow => network::slow(world, fault, began).await,
        Kind::Trim | Kind::Delete => log::remove_unread(world, fault, began).await?,
        Kind::Flush => log::flush(world, fault, began).await?,
        Kind::IdsAhead => log::ids_ahead(world, fault, began).await?,
        Kind::IdsBehind => log::ids_behind(world, fault, began).await?,
        Kind::Tidy => log::tidy(world, began).await?,
        Kind::Forge => forgery::forge(world, fault, began).await?,
        Kind::RestartReader => reader::restart(world, fault, began).await?,
        Kind::FreezeReader => reader::freeze(world, fault, began).await?,
        Kind::LaggingReplica => replica::lag(world, fault).await?,
        Kind::RotatedKey => rotation::rotate(world, fault, began).await?,
        Kind::ReusedIds => reuse::reuse(world, fault, began).await?,
        Kind::Unprovisioned => unprovisioned::follow(world, fault, began).await?,
        Kind::Oversized => sizes::oversized(world, fault, began).await?,
        Kind::OutputLimit => sizes::output_limit(world, fault, began).await?,
        Kind::CutAnswer => sizes::cut_answer(world, fault, began).await?,
        Kind::SlowLine => sizes::slow_line(world, fault, began).await?,
        Kind::Recut => recut::recut(world, fault, began).await?,
        Kind::ForeignSnapshot => foreign_snapshot::restore(world, fault, began).await?,
        Kind::Full => full::fill(world, fault, began).await?,
        Kind::StepClock => clock::step(world, fault, began).await,
        Kind::LoseMaster => elected::lose_master(world, fault).await?,
        Kind::FreezeMaster => elected::freeze_master(world).await?,
        Kind::FreezeOther => elected::freeze_other(world, fault, began).await?,
        Kind::LeftBehind => elected::leave_behind(world).await?,
        Kind::CutQuorum => elected::cut_quorum(world, fault, began).await?,
        Kind::MoveSlot => elected::move_slot(world, fault, began).await?,
    };
    world.truth.injected(Injected {
        kind: fault.kind.label(),
        what: fault.to_string(),
        scope: outcome.scope.unwrap_or(match fault.affected {
            Affected::Everyone => Scope::Everyone,
            Affected::Reader(reader) => Scope::Reader(reader),
        }),
        began: outcome.began,
        ended: outcome.ended,
        disturbs: outcome.disturbs,
        gap: if world.schedule.strict && fault.kind.raises_doubt() {
            GapScope::Everyone
        } else {
            outcome.gap
        },
        ids_ahead: fault.kind == Kind::IdsAhead,
        wipes: fault.kind.wipes(),
        forges: fault.kind.forges(),
        enlarges: fault.kind.enlarges(),
        severs: fault.severs() && outcome.effect.is_some(),
        suspends: fault.kind == Kind::FreezeReader,
        recuts: fault.kind == Kind::Recut,
        takes_over: fault.kind.takes_over(),
        steps_clock: fault.kind == Kind::StepClock,
        // The line is open again now.
        slow_until: (fault.kind == Kind::SlowLine).then(|| world.clock.now()),
        effect: outcome.effect,
    });
    Ok(())
}

/// Returns the readers that a fault affects.
fn affected_readers<'w>(
    world: &'w World,
    fault: &Fault,
) -> impl Iterator<Item = &'w Reader> + Clone {
    let affected = fault.affected;
    world.readers.iter().filter(move |reader| match affected {
        Affected::Everyone => true,
        Affected::Reader(number) => reader.number == number,
    })
}
