//! Request bodies, sent slowly by hyper's clients.

use axum::routing::post;
use caracal_revocation::gateway::CutError;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::{http1, http2};
use tokio::sync::mpsc;

use super::*;

#[tokio::test]
async fn cut_upload_fails_in_the_task_that_reads_it() {
    for version2 in [false, true] {
        let scene = Scene::new();
        let (report, mut reports) = mpsc::unbounded_channel();
        // The handler answers at once; the task that it spawned keeps reading.
        let handler = async move |mut body: Body| {
            tokio::spawn(async move {
                while let Some(frame) = body.frame().await {
                    let _ = report.send(frame.map(|frame| frame.into_data().unwrap()));
                }
            });
            "read later"
        };
        let address = scene.serve(Router::new().route("/upload", post(handler))).await;
        let (send, receive) = mpsc::unbounded_channel::<Bytes>();
        let body = StreamBody::new(stream::unfold(receive, async |mut receive| {
            let chunk = receive.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(chunk)), receive))
        }));
        let uri = if version2 { format!("http://{address}/upload") } else { "/upload".to_owned() };
        let request = Request::post(uri)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, "Bearer ar-1")
            .body(Box::pin(body))
            .unwrap();
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let response = if version2 {
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        assert_eq!(response.status(), 200);
        send.send(Bytes::from("one")).unwrap();
        assert_eq!(soon(reports.recv()).await.unwrap().unwrap(), "one");
        scene.running(1).await;
        scene.revoke("ar-1");
        let _ = send.send(Bytes::from("two"));
        let error = soon(reports.recv()).await.unwrap().unwrap_err();
        let cut = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source())
            .find_map(|error| error.downcast_ref::<CutError>())
            .expect("the source chain holds a `CutError`");
        assert_eq!(cut.cut().label(), "revoked");
        assert_eq!(scene.cuts(), [("revoked", CutPoint::Upload)]);
    }
}
