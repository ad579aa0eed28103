//! Tests of `Option<Mandate>` as an argument of axum's handlers.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use caracal_revocation_mandate::Requirements;
use caracal_revocation_state::Claims;
use tower::util::MapRequestLayer;

use super::*;

/// Returns a service that answers with the `sid` of the mandate, or with `nobody`.
fn router() -> Router {
    let handler = async |mandate: Option<Mandate>| {
        mandate.map_or("nobody".to_owned(), |mandate| mandate.claims().sid.to_string())
    };
    Router::new().route("/", get(handler))
}

async fn send(app: Router, authorization: Option<&str>) -> (u16, String) {
    let mut request = Request::new(Body::empty());
    if let Some(value) = authorization {
        request.headers_mut().insert(AUTHORIZATION, value.parse().unwrap());
    }
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn gateway(world: &World) -> GatewayLayer {
    GatewayLayer::new(world.revocations.clone()).with_verifier(world.verifier.clone())
}

#[tokio::test]
async fn is_none_only_with_allow_anonymous() {
    let world = World::new().await;
    let good = format!("Bearer {}", world.good());
    let app = router().layer(gateway(&world).allow_anonymous());
    assert_eq!(send(app.clone(), None).await, (200, "nobody".into()));
    assert_eq!(send(app.clone(), Some(&good)).await, (200, "ar-1".into()));
    // A request with an `Authorization` header is not anonymous.
    for other in ["", "Bearer", "Bearer\ta.b.c", "Bearer a.b.c", "Basic dXNlcjpwYXNz"] {
        assert_eq!(send(app.clone(), Some(other)).await.0, 401, "{other:?}");
    }
    world.apply(MessageBuilder::revoke(ZONE, "operator").session("ar-1"));
    assert_eq!(send(app, Some(&good)).await.0, 401, "a denied request is not anonymous");
    assert_eq!(send(router().layer(gateway(&world)), None).await.0, 401);
}

#[tokio::test]
async fn is_error_without_mandate_unless_anonymous() {
    let world = World::new().await;
    assert_eq!(send(router(), None).await.0, 500, "no layer decided");
    // Admitted on claims that another layer left.
    let claims = |mut request: Request<Body>| {
        request.extensions_mut().insert(Claims::new("ar-2", 1_795_400_000, 1_795_403_600));
        request
    };
    let app = router()
        .layer(GatewayLayer::new(world.revocations.clone()).allow_anonymous())
        .layer(MapRequestLayer::new(claims));
    assert_eq!(send(app, None).await.0, 500);
    // A layer that only observes, and would deny.
    let observed = router().layer(gateway(&world).insecure_observe_only());
    assert_eq!(send(observed.clone(), None).await.0, 500);
    assert_eq!(send(observed.layer(gateway(&world).allow_anonymous()), None).await.0, 500);
    // An inner layer admits the request on claims: it is no longer anonymous.
    let app = router()
        .layer(GatewayLayer::new(world.revocations.clone()))
        .layer(MapRequestLayer::new(claims))
        .layer(gateway(&world).allow_anonymous());
    assert_eq!(send(app, None).await.0, 500);
}

#[tokio::test]
async fn resource_layer_requires_scope_only_of_a_mandate() {
    let world = World::new().await;
    let good = format!("Bearer {}", world.good());
    let layer = world.layer().allow_anonymous();
    assert_eq!(send(router().layer(layer.clone()), None).await, (200, "nobody".into()));
    let app = router().layer(layer.require_scope("orders:write"));
    assert_eq!(send(app.clone(), None).await, (200, "nobody".into()));
    assert_eq!(send(app, Some(&good)).await.0, 403);
    assert_eq!(send(router().layer(world.layer()), None).await.0, 401);
}

#[tokio::test]
async fn gateway_layer_requires_scope_and_use() {
    let world = World::new().await;
    let good = format!("Bearer {}", world.good());
    let status = async |requirements| {
        send(router().layer(gateway(&world).require(requirements)), Some(&good)).await.0
    };
    assert_eq!(status(Requirements::new().scope("orders:read")).await, 200);
    assert_eq!(status(Requirements::new().scope("orders:write")).await, 403);
    assert_eq!(status(Requirements::new().uses(&[Use::Gateway, Use::Resource])).await, 200);
    assert_eq!(status(Requirements::new().uses(&[Use::Gateway, Use::Session])).await, 401);
}
