//! The clients of this example. Each prints the data that it receives, and how its request ended.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::Error;

pub fn connect(address: SocketAddr, token: &str) {
    for path in ["clock", "slow"] {
        let token = token.to_owned();
        tokio::spawn(async move {
            if let Err(error) = read(path, address, &token).await {
                println!("{path}: ended by an error: {error}");
            }
        });
    }
    let token = token.to_owned();
    tokio::spawn(async move {
        if let Err(error) = use_websocket(address, &token).await {
            println!("echo: ended by an error: {error}");
        }
    });
}

async fn read(path: &str, address: SocketAddr, token: &str) -> Result<(), Error> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(format!("http://{address}/{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::<Bytes>::new())?;
    let mut response = client.request(request).await?;
    println!("{path}: {}", response.status());
    while let Some(frame) = response.body_mut().frame().await {
        if let Ok(data) = frame?.into_data() {
            println!("{path}: {}", String::from_utf8_lossy(&data).trim().replace('\n', " | "));
        }
    }
    println!("{path}: ended");
    Ok(())
}

async fn use_websocket(address: SocketAddr, token: &str) -> Result<(), Error> {
    let mut request = format!("ws://{address}/echo").into_client_request()?;
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    for n in 1.. {
        socket.send(Message::text(format!("message {n}"))).await?;
        match socket.next().await.transpose()? {
            Some(Message::Close(Some(frame))) => {
                println!("echo: closed with {} {}", u16::from(frame.code), frame.reason);
                return Ok(());
            }
            Some(message) => println!("echo: {message}"),
            None => return Ok(()),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Ok(())
}
