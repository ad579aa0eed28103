//! The signal that a handler awaits to notice that its request must end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::cut::{Cut, CutPoint};
use super::handle::RequestCancellation;

/// A future that resolves once the authority behind a request has ended, from
/// [`Admission::revoked`](crate::Admission::revoked).
///
/// **A WebSocket, or any other upgraded connection, ends only if its handler awaits this signal**:
/// after the answer 101, no layer sees the connection. The same is true of a task that a handler
/// spawned, or a lock that it holds. The layer itself cuts response bodies, request bodies and
/// handlers that have not answered yet.
///
/// ```
/// use caracal_revocation_state::RevokedSignal;
/// # async fn next_line() -> Option<String> { None }
/// async fn echo(mut revoked: RevokedSignal) {
///     loop {
///         tokio::select! {
///             cut = &mut revoked => {
///                 println!("closed: {}", cut.label());
///                 return;
///             }
///             line = next_line() => match line {
///                 Some(line) => println!("{line}"),
///                 None => return,
///             },
///         }
///     }
/// }
/// ```
///
/// It can be cloned, and awaited again after it has resolved. The request stays registered while a
/// clone exists that was polled.
#[derive(Clone, Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct RevokedSignal(pub(super) Option<RequestCancellation>);

impl RevokedSignal {
    /// Returns the reason why the request must end, or `None` while it may run.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.0.as_ref().and_then(RequestCancellation::cut)
    }

    /// Lets the request's handler run to its end from now on. Its answer is still withheld: if the
    /// authority has ended, the client gets the denial.
    ///
    /// Use it for work that must not stop half-way. The layer's
    /// `CutOptions::insecure_let_handlers_finish` does the same for a whole route.
    pub fn insecure_let_handler_finish(&self) {
        self.0.iter().for_each(RequestCancellation::let_finish);
    }
}

impl Future for RevokedSignal {
    type Output = Cut;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Cut> {
        // A request that nothing cuts wakes no task.
        let Some(running) = &mut self.0 else { return Poll::Pending };
        let cut = ready!(Pin::new(&mut *running).poll(cx));
        running.report(CutPoint::Signal);
        Poll::Ready(cut)
    }
}
