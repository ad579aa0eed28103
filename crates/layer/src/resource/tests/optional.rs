//! `Option<Mandate>` as an argument of axum's handlers.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use caracal_revocation_state::Claims;
use tower::util::MapRequestLayer;

use super::*;

/// Says whose mandate it was, or that there was none.
fn router() -> Router {
    let handler = async |mandate: Option<Mandate>| {
        mandate.map_or("nobody".to_owned(), |mandate| mandate.claims().sid.to_string())
    };
    Router::new().route("/", get(handler))
}

async fn ask(app: Router, authorization: Option<&str>) -> (u16, String) {
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
async fn is_none_only_where_anonymous_requests_are_allowed() {
    let world = World::new().await;
    let good = format!("Bearer {}", world.good());
    let app = router().layer(gateway(&world).allow_anonymous());
    assert_eq!(ask(app.clone(), None).await, (200, "nobody".into()));
    assert_eq!(ask(app.clone(), Some(&good)).await, (200, "ar-1".into()));
    // Whoever sends something is not anonymous.
    for other in ["", "Bearer", "Bearer\ta.b.c", "Bearer a.b.c", "Basic dXNlcjpwYXNz"] {
        assert_eq!(ask(app.clone(), Some(other)).await.0, 401, "{other:?}");
    }
    world.apply(MessageBuilder::revoke(ZONE, "operator").session("ar-1"));
    assert_eq!(ask(app, Some(&good)).await.0, 401, "a denial is no absence");
    assert_eq!(ask(router().layer(gateway(&world)), None).await.0, 401);
}

#[tokio::test]
async fn is_an_error_where_no_mandate_was_verified_and_nobody_is_anonymous() {
    let world = World::new().await;
    assert_eq!(ask(router(), None).await.0, 500, "no layer decided");
    // Admitted on claims that another layer left.
    let claims = |mut request: Request<Body>| {
        request.extensions_mut().insert(Claims::new("ar-2", 1_795_400_000, 1_795_403_600));
        request
    };
    let app = router()
        .layer(GatewayLayer::new(world.revocations.clone()).allow_anonymous())
        .layer(MapRequestLayer::new(claims));
    assert_eq!(ask(app, None).await.0, 500);
    // A layer that would deny, and only observes.
    let observed = router().layer(gateway(&world).insecure_observe_only());
    assert_eq!(ask(observed.clone(), None).await.0, 500);
    assert_eq!(ask(observed.layer(gateway(&world).allow_anonymous()), None).await.0, 500);
    // An inner layer admits on claims; what the outer one let through is anonymous no more.
    let app = router()
        .layer(GatewayLayer::new(world.revocations.clone()))
        .layer(MapRequestLayer::new(claims))
        .layer(gateway(&world).allow_anonymous());
    assert_eq!(ask(app, None).await.0, 500);
}
