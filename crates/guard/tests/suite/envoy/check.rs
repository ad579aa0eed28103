//! ext_authz with a client of gRPC.

use std::collections::HashMap;

use caracal_test_support::waiting::eventually;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answer;
use tonic::Code;

use super::client::{Direct, Process, headers, start};

async fn check(setup: &Direct, http: Option<HttpRequest>) -> (i32, Option<HttpResponse>) {
    let request = Some(Request { http, ..Request::default() });
    let attributes = Some(AttributeContext { request, ..AttributeContext::default() });
    let mut client = AuthorizationClient::new(setup.channel.clone());
    let response = client.check(CheckRequest { attributes }).await.unwrap().into_inner();
    (response.status.unwrap().code, response.http_response)
}

#[tokio::test(flavor = "multi_thread")]
async fn check_denies_request_without_attributes() {
    let setup = start("").await;
    let mut client = AuthorizationClient::new(setup.channel.clone());
    let empty = client.check(CheckRequest::default()).await.unwrap().into_inner();
    let empty = (empty.status.unwrap().code, empty.http_response);
    let described = [None, Some(HttpRequest::default())].map(|http| check(&setup, http));
    let [none, default] = futures_util::future::join_all(described).await.try_into().unwrap();
    for (code, response) in [empty, none, default] {
        assert_ne!(code, i32::from(Code::Ok));
        let Some(HttpResponse::DeniedResponse(denied)) = response else { panic!("{response:?}") };
        assert_eq!(denied.status.unwrap().code, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reads_headers_in_either_form() {
    let setup = start("").await;
    let value = format!("Bearer {}", setup.world.mint("ar-1"));
    let base = || HttpRequest {
        method: "GET".to_owned(),
        path: "/a".to_owned(),
        ..HttpRequest::default()
    };
    let text = HashMap::from([("authorization".to_owned(), value.clone())]);
    let raw = HeaderValue {
        key: "authorization".to_owned(),
        raw_value: value.into_bytes(),
        ..HeaderValue::default()
    };
    let raw = Some(HeaderMap { headers: vec![raw] });
    let ok = i32::from(Code::Ok);
    let (code, _) = check(&setup, Some(HttpRequest { headers: text.clone(), ..base() })).await;
    assert_eq!(code, ok);
    let (code, _) = check(&setup, Some(HttpRequest { header_map: raw.clone(), ..base() })).await;
    assert_eq!(code, ok);
    // One token in each form: two headers.
    let both = HttpRequest { headers: text, header_map: raw, ..base() };
    let (code, _) = check(&setup, Some(both)).await;
    assert_eq!(code, i32::from(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_changes_rules_of_both_services() {
    let setup = start("").await;
    let value = format!("Bearer {}", setup.world.mint("ar-1"));
    let request = || HttpRequest {
        method: "GET".to_owned(),
        path: "/a".to_owned(),
        headers: HashMap::from([("authorization".to_owned(), value.clone())]),
        ..HttpRequest::default()
    };
    let mut running = Process::approved(&setup, "ar-1").await;
    assert_eq!(check(&setup, Some(request())).await.0, i32::from(Code::Ok));
    setup.reload("[envoy]\ntimeout_from_exp = true\n");
    eventually("an error", || setup.guard.log().contains("only with a restart")).await;
    setup.reload("[[routes]]\npath = \"/b\"\n");
    eventually("a reload", || setup.guard.log().contains("configuration reloaded")).await;
    assert_eq!(check(&setup, Some(request())).await.0, i32::from(Code::PermissionDenied));
    let mut later = Process::open(&setup).await;
    later.send(headers(&setup.world.mint("ar-2")));
    let Some(Answer::ImmediateResponse(answer)) = later.answer().await.unwrap() else { panic!() };
    assert_eq!(answer.status.unwrap().code, 403);
    // The request that runs goes on, and a revocation still ends it.
    setup.world.revoke("ar-1").await;
    let Some(Answer::ImmediateResponse(answer)) = running.answer().await.unwrap() else { panic!() };
    assert_eq!(answer.status.unwrap().code, 401);
}
