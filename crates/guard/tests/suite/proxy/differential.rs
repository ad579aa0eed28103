//! The same generated requests through nginx and through this proxy: the service receives the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fastrand::Rng;

use super::Proxied;
use super::raw_service::{RawRequest, RawService};
use crate::exchange::{exchange, status};
use crate::programs::debian;
use crate::proxy_process::ProxyProcess;
use crate::world::free_address;

const REQUESTS: usize = 200;
const SEED: u64 = 0x5eed;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Headers that only one of the two adds, drops or changes, and why.
const ALLOWED: &[(&str, &str)] = &[
    ("x-caracal-subject", "the identity"),
    ("x-caracal-zone", "the identity"),
    ("x-caracal-client", "the identity"),
    ("x-caracal-scopes", "the identity"),
    ("x-caracal-session", "the identity"),
    ("x-caracal-staleness-ms", "the age of the view"),
    ("x-forwarded-for", "nginx adds it only if configured"),
    ("x-forwarded-proto", "nginx adds it only if configured"),
    ("x-forwarded-host", "nginx adds it only if configured"),
    ("x-request-id", "nginx adds it only if configured"),
    ("te", "nginx drops it: it passes no trailers"),
    ("connection", "about this connection only"),
    ("proxy-connection", "nginx passes it on, though it is about the connection"),
    ("transfer-encoding", "nginx sends a length if it has read all chunks"),
    ("content-length", "the same; compared if the client sent it"),
    ("x-of-connection", "named in Connection: nginx passes it on nevertheless"),
];

fn configuration(address: SocketAddr, service: SocketAddr) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;
         events {{ }}
         http {{
           access_log off; client_body_temp_path body; proxy_temp_path proxy;
           fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
           server {{ listen {address}; location / {{
             proxy_pass http://{service}; proxy_http_version 1.1;
             proxy_set_header Host $http_host; proxy_set_header Connection \"\";
             proxy_request_buffering off; client_max_body_size 0; }} }} }}"
    )
}

/// Generates a request without token: its request line, header lines and body as they are sent.
fn generate(random: &mut Rng) -> (String, String, Vec<u8>) {
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"];
    let method = random.choice(methods).unwrap();
    let mut target = String::new();
    for _ in 0..random.usize(1..5) {
        let parts =
            ["a", "B-c", "%20", "%2F", "x%3By", "~", "a+b", "1.0", "é", "!$&'()*,;=:@", "|"];
        target.push('/');
        target += random.choice(parts).unwrap();
    }
    if random.bool() {
        let queries = ["?", "?a", "?a=b&a=c", "?q=%26%3d+x", "??", "?a=/../b", "?x={y}\"z"];
        target += random.choice(queries).unwrap();
    }
    if random.u8(..) < 16 {
        target = format!("http://api.example{target}");
    }
    let mut lines = vec!["Host: api.example".to_owned()];
    // Each at most once: nginx refuses some headers that are repeated.
    let mut others = [
        "Accept: */*",
        "ACCEPT-Encoding: gzip, br;q=0.5",
        "Cookie: a=1; b=\"2\"",
        "Cookie: c=3",
        "X-Empty:",
        "X-Spaces: \t two words \t",
        "X-Text: k\u{e4}se, {\"a\": [1]}",
        "x-repeated: 1",
        "X-Repeated: 2",
        "Range: bytes=0-9",
        "If-None-Match: W/\"1\", \"2\"",
        "Content-Type: text/plain; charset=utf-8",
        "Origin: null",
        "Referer: http://a/b?c#d",
        "Via: 1.1 front",
        "TE: trailers, deflate;q=0.5",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Upgrade: h2c",
        "Trailer: X-Sum",
        "Max-Forwards: 5",
    ];
    random.shuffle(&mut others);
    lines.extend(others.iter().take(random.usize(0..8)).map(|line| (*line).to_owned()));
    let connection = ["close", "close, X-Of-Connection", "Close, te", "x-of-connection,close"];
    lines.push(format!("Connection: {}", random.choice(connection).unwrap()));
    lines.push("X-Of-Connection: 1".to_owned());
    let size = *random.choice(&[0, 1, 7, 1_000, 70_000]).unwrap();
    let content: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(size).collect();
    let mut body = Vec::new();
    match random.u8(..3) {
        0 => {}
        1 => {
            lines.push(format!("Content-Length: {size}"));
            body = content;
        }
        _ => {
            lines.push("Transfer-Encoding: chunked".to_owned());
            let mut rest = &content[..];
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(random.usize(1..=rest.len()));
                let extension = if random.bool() { "" } else { ";name=value" };
                body.extend(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
                rest = after;
            }
            body.extend(b"0\r\n");
            if random.bool() {
                body.extend(b"X-Sum: 1\r\n");
            }
            body.extend(b"\r\n");
        }
    }
    random.shuffle(&mut lines[1..]);
    (format!("{method} {target} HTTP/1.1"), lines.join("\r\n"), body)
}

/// Returns the end-to-end headers, each with its values in order. Several lines of `Cookie` count
/// as one: this proxy joins them.
fn end_to_end(request: &RawRequest) -> BTreeMap<&str, Vec<String>> {
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &request.headers {
        if !ALLOWED.iter().any(|(allowed, _)| allowed == name) {
            headers.entry(name.as_str()).or_default().push(value.clone());
        }
    }
    if let Some(cookies) = headers.get_mut("cookie") {
        *cookies = vec![cookies.join("; ")];
    }
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn service_receives_the_same_as_behind_nginx() {
    let Some(nginx) = debian("nginx", "nginx") else { return };
    let (ours, theirs) = (RawService::start(ANSWER).await, RawService::start(ANSWER).await);
    let proxied = Proxied::start(&format!("http://{}", ours.address), "").await;
    let address = free_address();
    let configuration = configuration(address, theirs.address);
    let arguments = ["-p", ".", "-c", "nginx.conf"];
    let files = [("nginx.conf", configuration.as_str())];
    let _nginx = ProxyProcess::start(&nginx, &arguments, &files, address).await;
    let token = proxied.token("ar-1");
    let mut random = Rng::with_seed(SEED);
    let (mut with_body, mut forwarded, mut refused) = (0, 0, 0);
    for number in 0..REQUESTS {
        let (line, lines, body) = generate(&mut random);
        let mut request = format!("{line}\r\n{lines}\r\n{token}\r\n\r\n").into_bytes();
        request.extend(body);
        let name = format!("request {number}: {line}\n{lines}");
        let answers = [
            exchange(proxied.address, &request).await.unwrap(),
            exchange(address, &request).await.unwrap(),
        ];
        let statuses = answers.each_ref().map(|answer| status(answer));
        let (ours, theirs) = (ours.take(), theirs.take());
        match (&ours[..], &theirs[..]) {
            // nginx passes on characters that no URI may hold. This proxy may refuse them.
            ([], _) if statuses[0] == 400 && line.contains(['é', '|', '"', '{', '}']) => {
                refused += 1
            }
            ([Ok(ours)], [Ok(theirs)]) => {
                assert_eq!(statuses, [200, 200], "{name}");
                assert_eq!(ours.line, theirs.line, "{name}");
                assert_eq!(end_to_end(ours), end_to_end(theirs), "{name}");
                if lines.contains("Content-Length") {
                    let lengths = [ours, theirs].map(|request| request.all("content-length"));
                    assert_eq!(lengths[0], lengths[1], "{name}");
                }
                assert!(ours.body == theirs.body, "another body: {name}");
                forwarded += 1;
                with_body += usize::from(!ours.body.is_empty());
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(forwarded + refused, REQUESTS);
    assert!(forwarded > REQUESTS * 2 / 3 && with_body > REQUESTS / 5, "{forwarded} {with_body}");
}
