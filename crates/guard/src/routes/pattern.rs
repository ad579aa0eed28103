//! The pattern of a route: a path and methods.

use http::Method;

/// A path, and the methods that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoutePattern {
    path: PathPattern,
    /// Every method, if empty.
    methods: Vec<Method>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathPattern {
    Exact(String),
    /// Every path that begins with this text, which ends with a slash.
    Under(String),
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("the path must begin with a slash")]
    NoSlash,
    #[error("`*` is accepted only as the last segment, as in `/orders/*`")]
    Star,
    #[error("the path must be written decoded and in its shortest form")]
    Ambiguous,
    #[error("`{0}` is not an HTTP method")]
    Method(String),
}

impl RoutePattern {
    /// Reads a path such as `/orders` or `/orders/*`, and methods such as `GET`.
    pub(crate) fn parse(path: &str, methods: &[String]) -> Result<Self, PatternError> {
        if !path.starts_with('/') {
            return Err(PatternError::NoSlash);
        }
        let (text, is_prefix) = match path.strip_suffix("/*") {
            Some(folder) => (format!("{folder}/"), true),
            None => (path.to_owned(), false),
        };
        if text.contains('*') {
            return Err(PatternError::Star);
        }
        // A path with escapes or parameters is never compared with a pattern: see `Routed`.
        if text.contains(';')
            || caracal_revocation::gateway::decoded_path(&text).as_deref() != Some(&*text)
        {
            return Err(PatternError::Ambiguous);
        }
        let method = |name: &String| match name.parse::<Method>() {
            Ok(method) if name.bytes().all(|byte| byte.is_ascii_uppercase()) => Ok(method),
            _ => Err(PatternError::Method(name.clone())),
        };
        let methods = methods.iter().map(method).collect::<Result<_, _>>()?;
        let path = if is_prefix { PathPattern::Under(text) } else { PathPattern::Exact(text) };
        Ok(Self { path, methods })
    }

    /// Returns `true` if the route is for this method and decoded path.
    pub(crate) fn matches(&self, method: &Method, path: &str) -> bool {
        let is_path = match &self.path {
            PathPattern::Exact(exact) => path == exact,
            PathPattern::Under(prefix) => path.starts_with(prefix.as_str()),
        };
        is_path && (self.methods.is_empty() || self.methods.contains(method))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(path: &str, methods: &[&str]) -> Result<RoutePattern, PatternError> {
        let methods: Vec<_> = methods.iter().map(|name| (*name).to_owned()).collect();
        RoutePattern::parse(path, &methods)
    }

    #[test]
    fn matches_exact_path_or_prefix() {
        for (text, path, matches) in [
            ("/orders", "/orders", true),
            ("/orders", "/orders/", false),
            ("/orders", "/orders/1", false),
            ("/orders", "/Orders", false),
            ("/orders/*", "/orders/1/items", true),
            ("/orders/*", "/orders/", true),
            ("/orders/*", "/orders", false),
            ("/orders/*", "/orders-old/1", false),
            ("/*", "/", true),
            ("/*", "/anything", true),
            ("/*", "*", false),
        ] {
            let pattern = pattern(text, &[]).unwrap();
            assert_eq!(pattern.matches(&Method::GET, path), matches, "{text} {path}");
        }
    }

    #[test]
    fn matches_only_listed_methods() {
        let pattern = pattern("/orders", &["GET", "PURGE"]).unwrap();
        assert!(pattern.matches(&Method::GET, "/orders"));
        assert!(pattern.matches(&"PURGE".parse().unwrap(), "/orders"));
        assert!(!pattern.matches(&Method::HEAD, "/orders"));
        assert!(!pattern.matches(&"get".parse().unwrap(), "/orders"));
    }

    #[test]
    fn rejects_pattern_that_no_request_can_match() {
        for (text, error) in [
            ("orders", PatternError::NoSlash),
            ("", PatternError::NoSlash),
            ("/*/items", PatternError::Star),
            ("/orders*", PatternError::Star),
            ("/**", PatternError::Star),
            ("//orders", PatternError::Ambiguous),
            ("/a/../b", PatternError::Ambiguous),
            ("/%6frders", PatternError::Ambiguous),
            ("/orders;v=1", PatternError::Ambiguous),
        ] {
            assert_eq!(pattern(text, &[]), Err(error), "{text}");
        }
        assert_eq!(pattern("/", &["get"]), Err(PatternError::Method("get".to_owned())));
        assert_eq!(pattern("/", &["G T"]), Err(PatternError::Method("G T".to_owned())));
    }
}
