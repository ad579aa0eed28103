//! A client that stops reading: its connection ends by the timeout that the documentation shows.

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[tokio::test]
async fn a_connection_that_nobody_reads_ends_by_its_timeout() {
    let scene = Scene::new();
    let pour = async || {
        let chunk = Bytes::from(vec![b'x'; 1 << 16]);
        Body::from_stream(stream::repeat(chunk).map(Ok::<_, Infallible>))
    };
    let timeout = |stream: &TcpStream| {
        let socket = socket2::SockRef::from(stream);
        socket.set_tcp_user_timeout(Some(Duration::from_millis(500))).unwrap();
    };
    let address = scene.serve_on(Router::new().route("/pour", get(pour)), timeout).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let asked = b"GET /pour HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ar-1\r\n\r\n";
    client.write_all(asked).await.unwrap();
    scene.running(1).await;
    scene.revoke("ar-1");
    // Nobody polls a body that cannot be written; the kernel gives the connection up.
    scene.running(0).await;
    // What had left before may be read; no more comes, and no proper end.
    let mut rest = Vec::new();
    let end = soon(client.read_to_end(&mut rest)).await;
    assert!(end.is_err() || !rest.ends_with(b"0\r\n\r\n"));
}
