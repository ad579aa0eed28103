//! A service that reads requests byte by byte and strictly, and keeps what it read.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawRequest {
    pub(crate) line: String,
    /// Each header line, with its name in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl RawRequest {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(key, _)| key == name);
        values.map(|(_, value)| value.as_str()).collect()
    }
}

/// Answers every request with `answer`, or as the test says.
#[derive(Clone)]
pub(crate) struct RawService {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Result<RawRequest, String>>>>,
}

impl RawService {
    pub(crate) async fn start(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Self { address, received: Arc::default() };
        let recorder = service.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(recorder.clone().serve(stream, answer));
            }
        });
        service
    }

    /// Returns the requests since the last call. An error is a request without one reading.
    pub(crate) fn take(&self) -> Vec<Result<RawRequest, String>> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    async fn serve(self, stream: TcpStream, answer: &[u8]) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read(&mut stream).await.transpose() {
            let is_bad = request.is_err();
            self.received.lock().unwrap().push(request);
            if is_bad || stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

/// Reads a request, or `None` at the end of the connection.
async fn read(stream: &mut BufReader<TcpStream>) -> Result<Option<RawRequest>, String> {
    let Some(line) = read_line(stream).await? else { return Ok(None) };
    let mut request = RawRequest { line, ..RawRequest::default() };
    while let Some(line) = read_line(stream).await?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(format!("no colon: {line:?}"))?;
        if name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(format!("not a name: {line:?}"));
        }
        request
            .headers
            .push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let (lengths, codings) = (request.all("content-length"), request.all("transfer-encoding"));
    match (&lengths[..], &codings[..]) {
        ([], []) => {}
        ([length], []) => {
            let length = length.parse().map_err(|_| format!("not a length: {length:?}"))?;
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.map_err(|error| format!("short body: {error}"))?;
            request.body = body;
        }
        ([], ["chunked"]) => loop {
            let size = read_line(stream).await?.ok_or("no chunk")?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| format!("size {size:?}"))?;
            let start = request.body.len();
            request.body.resize(start + size, 0);
            let chunk = &mut request.body[start..];
            stream.read_exact(chunk).await.map_err(|error| format!("short chunk: {error}"))?;
            if size == 0 {
                while read_line(stream).await?.is_some_and(|line| !line.is_empty()) {}
                break;
            }
            if read_line(stream).await?.as_deref() != Some("") {
                return Err("a chunk without an end".to_owned());
            }
        },
        other => return Err(format!("two lengths: {other:?}")),
    }
    Ok(Some(request))
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> Result<Option<String>, String> {
    let mut line = Vec::new();
    match stream.read_until(b'\n', &mut line).await {
        Ok(0) | Err(_) => return Ok(None),
        Ok(_) => {}
    }
    let line = String::from_utf8(line).map_err(|error| error.to_string())?;
    let line = line.strip_suffix("\r\n").ok_or(format!("not an end of line: {line:?}"))?;
    if line.contains(['\r', '\n', '\0']) {
        return Err(format!("a control character: {line:?}"));
    }
    Ok(Some(line.to_owned()))
}
