//! Resolves each setting from its three sources, and checks it.

use std::net::SocketAddr;
use std::time::Duration;

use caracal_revocation::Settings;
use caracal_revocation::gateway::CutOptions;
use caracal_revocation::mandate::{SubjectType, Use};
use caracal_revocation::resource::Requirements;
use caracal_revocation::state::Options;

use super::database::Database;
use super::error::ConfigError;
use super::file::{self, File};
use super::limits::Limits;
use super::operations::OperationsConfig;
use super::policy;
#[cfg(feature = "opa")]
use super::policy::PolicyConfig;
use super::proxy::ProxyConfig;
use super::values::{parse_bool, split_list};
use crate::cli::Flags;
use crate::routes::{Profile, RoutePattern, RouteRules};

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) follower: Settings,
    pub(crate) listeners: Listeners,
    pub(crate) proxy: Option<ProxyConfig>,
    pub(crate) tokens: Tokens,
    pub(crate) profile: Profile,
    pub(crate) single_use: SingleUse,
    /// The policy of the zone. At least one route uses it.
    #[cfg(feature = "opa")]
    pub(crate) policy: Option<PolicyConfig>,
    pub(crate) database: Database,
    pub(crate) routes: Vec<RouteRules>,
    pub(crate) default_route: RouteRules,
    pub(crate) operations: OperationsConfig,
    /// The name under which the follower writes receipts.
    pub(crate) replica: Option<String>,
    pub(crate) envoy: Envoy,
    pub(crate) limits: Limits,
}

/// The options of the answers to Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envoy {
    /// Lets ext_authz end each response when its token expires.
    pub(crate) timeout_from_exp: bool,
}

/// The addresses to listen on. At least one of them takes requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listeners {
    pub(crate) proxy: Option<SocketAddr>,
    pub(crate) check: Option<SocketAddr>,
    pub(crate) ext_authz: Option<SocketAddr>,
    pub(crate) spoe: Option<SocketAddr>,
    pub(crate) operations: Option<SocketAddr>,
}

/// The source of a request's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    Verified(VerifierConfig),
    InsecureUnverified,
}

/// The number of times that a mandate may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SingleUse {
    /// Any number.
    Off,
    /// Once; requests are denied while the record in Redis cannot be asked.
    On,
    /// Once; requests are admitted while the record in Redis cannot be asked.
    InsecureFailOpen,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifierConfig {
    pub(crate) issuer: String,
    pub(crate) zone: String,
    /// At least one.
    pub(crate) audience: Vec<String>,
    pub(crate) jwks_url: Option<String>,
    pub(crate) uses: Vec<Use>,
    pub(crate) insecure_http_keys: bool,
}

impl Config {
    /// Resolves the settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that is missing or cannot be used.
    pub(crate) fn resolve(
        flags: &Flags,
        environment: impl Fn(&str) -> Option<String>,
        file: &File,
    ) -> Result<Self, ConfigError> {
        let environment = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let text = |flag: &Option<String>, name: &str, filed: &Option<String>| {
            flag.clone().or_else(|| environment(name)).or_else(|| filed.clone())
        };
        let is_set = |flag: bool, name: &'static str, filed: Option<bool>| {
            let from_environment = environment(name).map(|value| parse_bool(name, &value));
            if flag {
                Ok(true)
            } else {
                Ok(from_environment.transpose()?.or(filed).unwrap_or(false))
            }
        };

        let lookup = |name: &str| environment(name).or_else(|| file.settings.0.get(name).cloned());
        let follower = Settings::from_lookup(lookup);
        let follower = follower.map_err(|error| ConfigError::of(error.setting(), &error))?;

        let address = |flag: &Option<String>, name: &'static str, filed: &Option<String>| {
            text(flag, name, filed).map(|value| parse_address(name, &value)).transpose()
        };
        let listen = &file.listen;
        let listeners = Listeners {
            proxy: address(&flags.listen, "CARACAL_GUARD_LISTEN", &listen.proxy)?,
            check: address(&flags.check, "CARACAL_GUARD_CHECK", &listen.check)?,
            ext_authz: address(&flags.ext_authz, "CARACAL_GUARD_EXT_AUTHZ", &listen.ext_authz)?,
            spoe: address(&flags.spoe, "CARACAL_GUARD_SPOE", &listen.spoe)?,
            operations: address(&flags.operations, "CARACAL_GUARD_OPERATIONS", &listen.operations)?,
        };
        listeners.check()?;

        let proxy = ProxyConfig::resolve(&flags.upstream, &environment, &file.proxy)?;
        match (listeners.proxy, &proxy) {
            (Some(_), None) => {
                return Err(ConfigError::new(
                    "CARACAL_GUARD_UPSTREAM",
                    "missing: a reverse proxy (--listen) needs the URL of a service (--upstream)",
                ));
            }
            (None, Some(_)) => {
                return Err(ConfigError::new(
                    "CARACAL_GUARD_LISTEN",
                    "missing: --upstream needs an address for the reverse proxy (--listen)",
                ));
            }
            _ => {}
        }

        let filed = &file.tokens;
        let unverified = is_set(
            flags.insecure_unverified_claims,
            "CARACAL_GUARD_INSECURE_UNVERIFIED_CLAIMS",
            filed.insecure_unverified_claims,
        )?;
        let profile = filed.profile;
        let single_use = is_set(flags.single_use, "CARACAL_GUARD_SINGLE_USE", filed.single_use)?;
        let fails_open = is_set(
            false,
            "CARACAL_GUARD_INSECURE_SINGLE_USE_FAIL_OPEN",
            filed.insecure_single_use_fail_open,
        )?;
        let single_use = match (single_use, fails_open) {
            (true, _) if unverified || profile != Profile::Gateway => {
                return Err(ConfigError::new(
                    "CARACAL_GUARD_SINGLE_USE",
                    "needs tokens.profile = \"gateway\" and verified tokens",
                ));
            }
            (true, false) => SingleUse::On,
            (true, true) => SingleUse::InsecureFailOpen,
            (false, true) => {
                return Err(ConfigError::new(
                    "CARACAL_GUARD_INSECURE_SINGLE_USE_FAIL_OPEN",
                    "needs single use (--single-use)",
                ));
            }
            (false, false) => SingleUse::Off,
        };
        let tokens = if unverified {
            Tokens::InsecureUnverified
        } else {
            let required = |flag: &Option<String>, name: &'static str, filed: &Option<String>| {
                text(flag, name, filed).ok_or_else(|| ConfigError::new(name, MISSING_VERIFIER))
            };
            let audience = match flags.audience.as_slice() {
                [] => environment("CARACAL_AUDIENCE")
                    .map_or_else(|| filed.audience.clone(), |value| split_list(&value)),
                flags => flags.to_vec(),
            };
            if audience.is_empty() {
                return Err(ConfigError::new("CARACAL_AUDIENCE", MISSING_VERIFIER));
            }
            let default_uses = match profile {
                Profile::Resource => vec!["resource".to_owned()],
                Profile::Gateway => vec!["gateway".to_owned()],
            };
            Tokens::Verified(VerifierConfig {
                issuer: required(&flags.issuer, "CARACAL_ISSUER", &filed.issuer)?,
                zone: required(&flags.zone, "CARACAL_ZONE", &filed.zone)?,
                audience,
                jwks_url: text(&flags.jwks_url, "CARACAL_JWKS_URL", &filed.jwks_url),
                uses: parse_uses("tokens.uses", filed.uses.as_ref().unwrap_or(&default_uses))?,
                insecure_http_keys: is_set(
                    flags.insecure_http_keys,
                    "CARACAL_GUARD_INSECURE_HTTP_KEYS",
                    filed.insecure_http_keys,
                )?,
            })
        };

        let verified = tokens != Tokens::InsecureUnverified;
        let rules = |(index, route)| resolve_route(index, route, verified);
        let routes = file.routes.iter().enumerate().map(rules).collect::<Result<Vec<_>, _>>()?;
        let policy = policy::resolve(environment, &file.policy)?;
        check_policy(policy.is_some(), &routes)?;
        let default = file::Route { path: "/*".to_owned(), ..file::Route::default() };
        let default_route = resolve_route(0, &default, verified)?;
        Ok(Self {
            follower,
            listeners,
            proxy,
            tokens,
            profile,
            single_use,
            #[cfg(feature = "opa")]
            policy,
            database: Database::resolve(lookup),
            routes,
            default_route,
            replica: text(&flags.replica, "CARACAL_GUARD_REPLICA", &file.operations.replica),
            operations: OperationsConfig::resolve(environment, &file.operations)?,
            envoy: Envoy { timeout_from_exp: file.envoy.timeout_from_exp.unwrap_or(false) },
            limits: Limits::resolve(&file.limits)?,
        })
    }
}

const MISSING_VERIFIER: &str = "missing: tokens are verified for one issuer, audience and zone \
     (CARACAL_ISSUER, CARACAL_AUDIENCE, CARACAL_ZONE); where the proxy itself verifies tokens, \
     pass --insecure-unverified-claims";

impl Listeners {
    fn check(&self) -> Result<(), ConfigError> {
        let all = [self.proxy, self.check, self.ext_authz, self.spoe];
        if all.iter().all(Option::is_none) {
            return Err(ConfigError::new(
                "CARACAL_GUARD_LISTEN",
                "no listener: pass --listen with --upstream, --check, --ext-authz or --spoe \
                 (`caracal-guard try` needs no configuration)",
            ));
        }
        Ok(())
    }
}

/// Checks that routes use the policy if, and only if, there is one.
fn check_policy(is_configured: bool, routes: &[RouteRules]) -> Result<(), ConfigError> {
    match (is_configured, routes.iter().any(|route| route.policy)) {
        (false, true) => Err(ConfigError::new(
            "CARACAL_GUARD_POLICY_FOLDER",
            "missing: a route has policy = true, and policy.folder names no folder",
        )),
        (true, false) => Err(ConfigError::new(
            "policy",
            "no route uses it: add policy = true to each route that it decides",
        )),
        _ => Ok(()),
    }
}

fn resolve_route(
    index: usize,
    route: &file::Route,
    verified: bool,
) -> Result<RouteRules, ConfigError> {
    let name = |key: &str| format!("routes[{index}] ({}): {key}", route.path);
    let pattern = RoutePattern::parse(&route.path, &route.methods)
        .map_err(|error| ConfigError::new(name("path and methods"), error))?;
    let mut requirements = Requirements::new();
    for scope in &route.scopes {
        requirements = requirements.scope(scope);
    }
    for target in &route.targets {
        requirements = requirements.target(target);
    }
    for application in &route.chain_contains {
        requirements = requirements.chain_contains(application);
    }
    if !route.uses.is_empty() {
        requirements = requirements.uses(&parse_uses(&name("uses"), &route.uses)?);
    }
    if let Some(subject) = &route.subject_type {
        let subject = match subject.as_str() {
            "user" => SubjectType::User,
            "application" => SubjectType::Application,
            _ => {
                return Err(ConfigError::new(name("subject_type"), "expected user or application"));
            }
        };
        requirements = requirements.subject_type(subject);
    }
    if route.session {
        requirements = requirements.session();
    }
    if route.delegation {
        requirements = requirements.delegation();
    }
    if let Some(hops) = route.max_hops {
        requirements = requirements.max_hops(hops);
    }
    if !verified && requirements != Requirements::new() {
        return Err(ConfigError::new(
            name("requirements"),
            "claims that are not verified cannot meet them: remove --insecure-unverified-claims",
        ));
    }
    if route.policy && !verified {
        return Err(ConfigError::new(
            name("policy"),
            "claims that are not verified decide no policy: remove --insecure-unverified-claims",
        ));
    }
    if route.policy && route.anonymous {
        return Err(ConfigError::new(
            name("policy"),
            "a request without a token has no policy: remove anonymous or policy",
        ));
    }
    let deny_after = route.deny_after_ms.map(Duration::from_millis);
    if deny_after.is_some_and(|bound| bound < Options::SHORTEST_BOUND) {
        let shortest = Options::SHORTEST_BOUND.as_millis();
        let problem = format!("below {shortest}, the shortest bound that a view can keep");
        return Err(ConfigError::new(name("deny_after_ms"), problem));
    }
    let mut cutting = CutOptions::new();
    if route.cut_when_unknown {
        cutting = cutting.when_unknown();
    }
    if route.insecure_never_cut {
        cutting = cutting.insecure_disabled();
    }
    Ok(RouteRules {
        pattern,
        requirements,
        policy: route.policy,
        anonymous: route.anonymous,
        deny_after,
        cutting,
    })
}

fn parse_uses(setting: &str, names: &[String]) -> Result<Vec<Use>, ConfigError> {
    let parse = |name: &String| match name.as_str() {
        "session" => Ok(Use::Session),
        "gateway" => Ok(Use::Gateway),
        "resource" => Ok(Use::Resource),
        _ => Err(ConfigError::new(setting, "expected session, gateway or resource")),
    };
    if names.is_empty() {
        return Err(ConfigError::new(setting, "empty: no mandate would be valid"));
    }
    names.iter().map(parse).collect()
}

fn parse_address(setting: &str, value: &str) -> Result<SocketAddr, ConfigError> {
    let problem = "expected an IP address and a port, such as 127.0.0.1:7000 or [::1]:7000";
    value.trim().parse().map_err(|_| ConfigError::new(setting, problem))
}
