//! A connection after its upgrade: bytes in both directions, until one side ends, the request is
//! cut, or the program stops.

use std::io;
use std::time::Duration;

use caracal_revocation::gateway::{Cut, RevokedSignal};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, copy, sink, split};

use super::frames::{self, Frames};
use crate::server::{Connection, Shutdown};

/// The time that a client has to read the last bytes, and to close.
const CLOSE: Duration = Duration::from_secs(1);

/// The time that both sides have to switch.
const SWITCH: Duration = Duration::from_secs(10);

/// An upgraded connection.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// `None` if nothing cuts the request.
    pub(super) revoked: Option<RevokedSignal>,
    pub(super) shutdown: Shutdown,
    pub(super) is_websocket: bool,
    /// Kept, because the connection is open while the tunnel is.
    pub(super) connection: Option<Connection>,
}

enum End {
    Cut(Cut),
    Stopping,
    /// The service has closed its side.
    Service,
    Broken,
}

impl Tunnel {
    /// Carries the bytes between the client and the service.
    pub(super) async fn run(mut self, client: OnUpgrade, service: OnUpgrade) {
        let _connection = self.connection.take();
        let both = futures_util::future::try_join(client, service);
        let Ok(Ok((client, service))) = tokio::time::timeout(SWITCH, both).await else { return };
        let (mut from_client, mut to_client) = split(TokioIo::new(client));
        let mut frames = Frames::new();
        let end = {
            let (from_service, mut to_service) = split(TokioIo::new(service));
            let upload = async {
                let copied = copy(&mut from_client, &mut to_service).await;
                if copied.is_err() || to_service.shutdown().await.is_err() {
                    return;
                }
                // The service may still answer.
                std::future::pending().await
            };
            let cut = async {
                match self.revoked.take() {
                    Some(revoked) => revoked.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                cut = cut => End::Cut(cut),
                () = self.shutdown.wait() => End::Stopping,
                end = download(from_service, &mut to_client, &mut frames) => match end {
                    Ok(()) => End::Service,
                    Err(_) => End::Broken,
                },
                () = upload => End::Broken,
            }
            // Here the connection to the service closes: it gets nothing after a cut.
        };
        let farewell = match end {
            End::Broken => return,
            End::Service => None,
            End::Cut(cut) => Some(frames::revoked(cut)),
            End::Stopping => Some(frames::close(frames::GOING_AWAY, "")),
        };
        let may_send = self.is_websocket && frames.is_boundary();
        if farewell.is_some() && !may_send {
            return;
        }
        let close = async {
            to_client.write_all(&farewell.unwrap_or_default()).await?;
            to_client.shutdown().await?;
            // A connection that is dropped with unread bytes is reset, and the last ones are lost.
            copy(&mut from_client, &mut sink()).await
        };
        let _ = tokio::time::timeout(CLOSE, close).await;
    }
}

/// Carries bytes to the client, and counts those that were sent.
async fn download(
    mut from_service: ReadHalf<TokioIo<Upgraded>>,
    to_client: &mut WriteHalf<TokioIo<Upgraded>>,
    frames: &mut Frames,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from_service.read(&mut buffer).await?;
        let mut rest = buffer.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = to_client.write(rest).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let (sent, unsent) = rest.split_at_checked(written).unwrap_or((rest, &[]));
            frames.sent(sent);
            rest = unsent;
        }
        to_client.flush().await?;
    }
}
