//! The order of tasks after a cut, so that the ends of many streams of one connection share a write.

use std::mem;
use std::task::{Context, Poll};

/// More than the budget of any task of tokio.
const MORE_THAN_A_BUDGET: usize = 256;

/// Ends the turn of this task: a task that it wakes now runs after those that wait already. For
/// HTTP/2, whose streams and connection are tasks of their own.
///
/// A thread of tokio runs a task that was woken by another one right after it, before the tasks that
/// wait. Each stream that ends wakes its connection, so each end would be a write of its own. tokio
/// does not do so for a task that used up its budget ([`tokio::task::coop`]).
pub(super) fn end_turn(cx: &mut Context<'_>) {
    for _ in 0..MORE_THAN_A_BUDGET {
        match tokio::task::coop::poll_proceed(cx) {
            // Dropping it would give the unit back.
            Poll::Ready(unit) => mem::forget(unit),
            Poll::Pending => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::{Arc, Mutex};

    use tokio::runtime::Builder;
    use tokio::sync::Notify;

    use super::*;

    async fn end_own_turn() {
        poll_fn(|cx| {
            end_turn(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Returns the order in which two tasks run: one that waits for a thread, and one that the
    /// running task wakes after it.
    async fn order(ends_turn: bool) -> Vec<&'static str> {
        let (order, wake) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(Notify::new()));
        let run = |name| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(name)
        };
        let (runs, wakes) = (run("woken"), Arc::clone(&wake));
        let woken = tokio::spawn(async move {
            wakes.notified().await;
            runs();
        });
        tokio::task::yield_now().await;
        let runs = run("waiting");
        let waiting = tokio::spawn(async move { runs() });
        // Takes the place of the next task.
        let next = tokio::spawn(async {});
        if ends_turn {
            end_own_turn().await;
        }
        wake.notify_one();
        for task in [woken, waiting, next] {
            task.await.unwrap();
        }
        Arc::into_inner(order).unwrap().into_inner().unwrap()
    }

    #[test]
    fn waiting_tasks_run_before_those_that_are_woken_at_the_end_of_a_turn() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let order = |ends_turn| runtime.block_on(runtime.spawn(order(ends_turn))).unwrap();
        assert_eq!(order(true), ["waiting", "woken"]);
        // The reason for this file.
        assert_eq!(order(false), ["woken", "waiting"]);
    }

    #[tokio::test]
    async fn task_goes_on_after_the_end_of_its_turn() {
        end_own_turn().await;
        tokio::task::yield_now().await;
    }

    #[test]
    fn ends_without_a_runtime() {
        end_turn(&mut Context::from_waker(std::task::Waker::noop()));
    }
}
