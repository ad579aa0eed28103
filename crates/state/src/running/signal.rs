//! The signal that a handler awaits to learn that its request must end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::cut::{Cut, CutPoint};
use super::handle::RequestCancellation;

/// A future that resolves once the authority behind a request has ended, from
/// [`Admission::revoked`](crate::Admission::revoked).
///
/// **A WebSocket, or any other upgraded connection, ends only if its handler awaits this**: after
/// the answer 101 no layer sees the connection. So does a task that a handler spawned, or a lock
/// that it holds. Response bodies, request bodies and handlers that have not answered yet are cut
/// by the layer.
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
/// It can be cloned, and awaited again after it has resolved. While a clone lives that was once
/// polled the request stays registered.
#[derive(Clone, Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct RevokedSignal(pub(super) Option<RequestCancellation>);

impl RevokedSignal {
    /// Why the request must end, if it must by now.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.0.as_ref().and_then(RequestCancellation::cut)
    }

    /// From now on the request's handler is let run to its end. Its answer is still withheld: the
    /// client of a handler whose authority has ended is told so.
    ///
    /// For what must not stop half-way. A whole route does the same with the layer's
    /// `CutOptions::insecure_let_handlers_finish`.
    pub fn insecure_let_handler_finish(&self) {
        self.0.iter().for_each(RequestCancellation::let_finish);
    }
}

impl Future for RevokedSignal {
    type Output = Cut;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Cut> {
        // What nothing cuts wakes nobody.
        let Some(running) = &mut self.0 else { return Poll::Pending };
        let cut = ready!(Pin::new(&mut *running).poll(cx));
        running.report(CutPoint::Signal);
        Poll::Ready(cut)
    }
}
