//! A client that stops reading: the timeout that the documentation shows ends its connection.

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[tokio::test]
async fn unread_connection_ends_by_its_timeout() {
    let scene = Scene::new();
    let endless = async || {
        let chunk = Bytes::from(vec![b'x'; 1 << 16]);
        Body::from_stream(stream::repeat(chunk).map(Ok::<_, Infallible>))
    };
    let timeout = |stream: &TcpStream| {
        let socket = socket2::SockRef::from(stream);
        socket.set_tcp_user_timeout(Some(Duration::from_millis(500))).unwrap();
    };
    let address = scene.serve_on(Router::new().route("/pour", get(endless)), timeout).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = b"GET /pour HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ar-1\r\n\r\n";
    client.write_all(request).await.unwrap();
    scene.running(1).await;
    scene.revoke("ar-1");
    // A body that cannot be written is not polled; the kernel ends the connection.
    scene.running(0).await;
    // Bytes sent before the cut may be read, but no proper end follows.
    let mut rest = Vec::new();
    let end = soon(client.read_to_end(&mut rest)).await;
    assert!(end.is_err() || !rest.ends_with(b"0\r\n\r\n"));
}
