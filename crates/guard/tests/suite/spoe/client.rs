//! A client that speaks SPOP as HAProxy does, or as nothing should.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use spop::types::typed_data;
use spop::{TypedData, decode_varint, encode_varint_into};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::program::Guard;
use crate::world::{World, free_address};

pub(crate) const HAPROXY_HELLO: u8 = 1;
pub(crate) const HAPROXY_DISCONNECT: u8 = 2;
pub(crate) const NOTIFY: u8 = 3;
pub(crate) const AGENT_HELLO: u8 = 101;
pub(crate) const AGENT_DISCONNECT: u8 = 102;
pub(crate) const ACK: u8 = 103;
/// The flag of a frame that is not a fragment.
pub(crate) const FIN: u32 = 1;

/// The arguments of a message.
pub(crate) type Arguments = Vec<(&'static str, TypedData)>;

/// Starts a guard that listens for HAProxy, with more arguments.
pub(crate) async fn start(world: &World, arguments: &[&str]) -> (Guard, SocketAddr) {
    let address = free_address();
    let text = address.to_string();
    let guard = world.guard(&[arguments, &["--spoe", &text]].concat()).await;
    (guard, address)
}

/// A frame of the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream_id: u64,
    pub(crate) frame_id: u64,
    /// The items of a HELLO or DISCONNECT, or the variables that an ACK sets.
    pub(crate) values: HashMap<String, TypedData>,
    /// The variables that an ACK unsets.
    pub(crate) unset: Vec<String>,
}

impl Frame {
    /// Returns a value that is text.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(TypedData::String(text)) => text,
            other => panic!("{name} is {other:?} in {self:?}"),
        }
    }

    /// Returns a value that is a number.
    pub(crate) fn number(&self, name: &str) -> u32 {
        match self.values.get(name) {
            Some(TypedData::UInt32(number)) => *number,
            other => panic!("{name} is {other:?} in {self:?}"),
        }
    }
}

/// A connection to the guard.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects without a handshake.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap() }
    }

    /// Connects, and agrees on frames of at most this size.
    pub(crate) async fn hello(address: SocketAddr, size: u32) -> Self {
        let mut client = Self::connect(address).await;
        client.send(&frame(HAPROXY_HELLO, FIN, 0, 0, &hello("2.0", size))).await;
        let answer = client.read().await.unwrap();
        assert_eq!((answer.kind, answer.text("version")), (AGENT_HELLO, "2.0"), "{answer:?}");
        assert_eq!(answer.text("capabilities"), "pipelining");
        assert_eq!(answer.number("max-frame-size"), size.min(16_380));
        client
    }

    /// Sends bytes. The guard may have closed the connection: the next read shows it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Ends this side of the connection.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Asks about a request, and returns the ACK.
    pub(crate) async fn ask(&mut self, arguments: &Arguments) -> Frame {
        self.send(&frame(NOTIFY, FIN, 7, 9, &message("check-token", arguments))).await;
        let ack = self.read().await.unwrap();
        assert_eq!((ack.kind, ack.stream_id, ack.frame_id), (ACK, 7, 9), "{ack:?}");
        ack
    }

    /// Reads a frame, or returns `None` if the connection has ended.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        let frame = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut bytes = vec![0; length as usize];
            self.stream.read_exact(&mut bytes).await.ok()?;
            Some(parse(&bytes))
        };
        tokio::time::timeout(Duration::from_secs(60), frame).await.expect("a frame or the end")
    }

    /// Reads an AGENT-DISCONNECT and the end of the connection, and returns the status.
    pub(crate) async fn disconnected(&mut self) -> u32 {
        let frame = self.read().await.expect("a frame before the end");
        assert_eq!(frame.kind, AGENT_DISCONNECT, "{frame:?}");
        assert!(!frame.text("message").is_empty());
        assert_eq!(self.read().await, None);
        frame.number("status-code")
    }
}

/// Returns a frame with its length.
pub(crate) fn frame(
    kind: u8,
    flags: u32,
    stream_id: u64,
    frame_id: u64,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(flags.to_be_bytes());
    encode_varint_into(stream_id, &mut bytes);
    encode_varint_into(frame_id, &mut bytes);
    bytes.extend(payload);
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], &bytes].concat()
}

/// Returns the payload of a HAPROXY-HELLO.
pub(crate) fn hello(version: &str, size: u32) -> Vec<u8> {
    list(&[
        ("supported-versions", version.into()),
        ("max-frame-size", size.into()),
        ("capabilities", "pipelining,async".into()),
    ])
}

/// Returns a message of a NOTIFY.
pub(crate) fn message(name: &str, arguments: &Arguments) -> Vec<u8> {
    let mut bytes = Vec::new();
    string(name, &mut bytes);
    bytes.push(arguments.len().try_into().unwrap());
    bytes.extend(list(arguments));
    bytes
}

/// Returns the arguments of a question that HAProxy would send.
pub(crate) fn arguments(token: Option<&str>) -> Arguments {
    vec![
        ("auth", token.map_or(TypedData::Null, |token| format!("Bearer {token}").into())),
        ("acnt", i64::from(token.is_some()).into()),
        ("method", "GET".into()),
        ("uri", "/orders/1?a=b".into()),
        ("request_id", "r-1".into()),
    ]
}

pub(crate) fn list(items: &[(&str, TypedData)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in items {
        string(name, &mut bytes);
        value.to_bytes(&mut bytes);
    }
    bytes
}

fn string(text: &str, bytes: &mut Vec<u8>) {
    encode_varint_into(text.len() as u64, bytes);
    bytes.extend(text.as_bytes());
}

fn parse(bytes: &[u8]) -> Frame {
    let kind = bytes[0];
    assert_eq!(bytes[1..5], FIN.to_be_bytes());
    let (rest, stream_id) = decode_varint(&bytes[5..]).unwrap();
    let (mut rest, frame_id) = decode_varint(rest).unwrap();
    let mut parsed =
        Frame { kind, stream_id, frame_id, values: HashMap::default(), unset: Vec::default() };
    let is_ack = kind == ACK;
    while !rest.is_empty() {
        // An action is 1 (set) or 2 (unset), a number of arguments, and the scope 2 (transaction).
        let is_unset = is_ack && rest[0] == 2;
        if is_ack {
            assert_eq!(rest[..3], if is_unset { [2, 2, 2] } else { [1, 3, 2] });
            rest = &rest[3..];
        }
        let (after, length) = decode_varint(rest).unwrap();
        let (name, after) = after.split_at(length.try_into().unwrap());
        let name = String::from_utf8(name.to_vec()).unwrap();
        rest = after;
        if is_unset {
            parsed.unset.push(name);
        } else {
            let (after, value) = typed_data(rest).unwrap();
            rest = after;
            assert_eq!(parsed.values.insert(name, value), None);
        }
    }
    parsed
}
