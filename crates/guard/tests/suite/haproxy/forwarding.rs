//! What the service behind receives.

use std::process::Command;

use super::{Setup, both};
use crate::exchange::{body, exchange, status};
use crate::programs::debian;
use crate::upstream::Received;
use crate::world::ZONE;

/// Asserts that the service got the identity of the guard and no other.
fn assert_identity(request: &Received) {
    let staleness = "x-caracal-staleness-ms";
    let is_identity = |name: &str| name.replace('_', "-").starts_with("x-caracal");
    let mut identity: Vec<_> =
        request.headers.iter().filter(|(name, _)| is_identity(name)).collect();
    identity.sort();
    let [client, scopes, session, age, subject, zone] = identity.as_slice() else {
        panic!("{identity:?}");
    };
    for (header, name, value) in [
        (client, "x-caracal-client", "client-1"),
        (scopes, "x-caracal-scopes", ""),
        (session, "x-caracal-session", "ar-1"),
        (subject, "x-caracal-subject", "agent-1"),
        (zone, "x-caracal-zone", ZONE),
    ] {
        assert_eq!((header.0.as_str(), header.1.as_str()), (name, value));
    }
    assert!(age.0 == staleness && age.1.parse::<u64>().is_ok(), "{age:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_only_the_identity_of_the_guard() {
    for program in both() {
        let setup = Setup::start(&program, &[], &[]).await;
        let token = setup.token();
        let forged = [
            &*token,
            "X-Caracal-Subject: root",
            "X-Caracal-Subject: admin",
            "x_caracal_subject: root",
            "X-Caracal_Scopes: all",
            "X_Caracal-Session: 1",
            "X-Caracal-Other: 1",
        ];
        let response = setup.send("GET", "/", &forged).await;
        assert_eq!(status(&response), 200, "{response}");
        let requests = setup.upstream.take();
        assert_identity(&requests[0]);
        assert_eq!(requests[0].all("authorization").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_cannot_name_headers_to_drop() {
    for program in both() {
        let setup = Setup::start(&program, &[], &[]).await;
        let (proxy, token) = (setup.proxy, setup.token());
        for lines in [
            "Connection: Authorization, X-Caracal-Subject, close",
            "Connection: X-Caracal-Subject\r\nConnection: close",
            "Connection: close, Upgrade, X-Caracal-Subject\r\nUpgrade: foo",
            "Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        ] {
            let request = format!("GET / HTTP/1.1\r\nHost: {proxy}\r\n{token}\r\n{lines}\r\n\r\n");
            let response = exchange(proxy, request.as_bytes()).await.unwrap();
            assert_eq!(status(&response), 200, "{response}");
            let requests = setup.upstream.take();
            assert_identity(&requests[0]);
            for name in ["connection", "upgrade"] {
                assert_eq!(requests[0].all(name), [""; 0], "{lines}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_methods_and_bodies_unchanged() {
    for program in both() {
        let setup = Setup::start(&program, &[], &[]).await;
        let (proxy, token) = (setup.proxy, setup.token());
        let body_of_request = "x".repeat(100_000);
        let length = body_of_request.len();
        let request = |head: &str| {
            format!("POST /a?b=%20 HTTP/1.1\r\nHost: {proxy}\r\nConnection: close\r\n{head}\r\n")
        };
        let whole = request(&format!("{token}\r\nContent-Length: {length}\r\n")) + &body_of_request;
        let response = exchange(proxy, whole.as_bytes()).await.unwrap();
        assert_eq!((status(&response), body(&response)), (200, "hello"), "{response}");
        let requests = setup.upstream.take();
        assert_eq!((&*requests[0].method, &*requests[0].uri), ("POST", "/a?b=%20"));
        assert_eq!(requests[0].body, body_of_request);

        let response = setup.send("HEAD", "/a", &[&token]).await;
        assert_eq!((status(&response), body(&response)), (200, ""), "{response}");
        assert_eq!(setup.upstream.take()[0].method, "HEAD");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decides_http2_requests_too() {
    let Some(_) = debian("curl", "curl") else { return };
    for program in both() {
        let setup = Setup::start(&program, &[], &[]).await;
        let (token, url) = (setup.token(), format!("http://{}/a", setup.proxy));
        for (headers, wanted) in [
            ([&*token, "X_Caracal_Subject: root"], "2 200"),
            ([&*token, "Authorization: Bearer x"], "2 401"),
            (["Content-Type: application/grpc", "TE: trailers"], "2 401"),
        ] {
            let mut curl = Command::new("curl");
            curl.args(["-s", "-m", "60", "--http2-prior-knowledge", "-o", "/dev/null"]);
            curl.args(["-w", "%{http_version} %{http_code}", "-d", "", &url]);
            curl.args(headers.iter().flat_map(|line| ["-H", line]));
            let output = tokio::task::spawn_blocking(move || curl.output()).await.unwrap().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), wanted, "{headers:?}");
        }
        let requests = setup.upstream.take();
        assert_eq!(requests.len(), 1);
        assert_identity(&requests[0]);
    }
}
