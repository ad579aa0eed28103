//! Finds and removes the password in a Redis URL.

/// Returns the URL without its password, if it contains one.
pub(crate) fn without_password(url: &str) -> String {
    let (base, query) =
        url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let (scheme, rest) = base.split_once("://").unwrap_or(("", base));
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, path)| (a, Some(path)));
    let authority =
        match authority.rsplit_once('@').map(|(login, host)| (login.split(':').next(), host)) {
            None => authority.to_owned(),
            Some((None | Some(""), host)) => host.to_owned(),
            Some((Some(user), host)) => format!("{user}@{host}"),
        };
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    let query = query.map(|query| {
        let kept = query.split('&').filter(|part| !part.starts_with("pass="));
        format!("?{}", kept.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{authority}{path}{}", query.unwrap_or_default())
}

/// Returns `true` if a URL contains a password.
pub(crate) fn holds_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    login.is_some_and(|login| login.contains(':')) || url.contains("pass=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_only_the_password_of_a_url() {
        for (url, expected) in [
            ("redis://u:p@h:1/0?protocol=resp3", "redis://u@h:1/0?protocol=resp3"),
            ("rediss://:p@[::1]:6379", "rediss://[::1]:6379"),
            ("redis://u@h", "redis://u@h"),
            ("redis://h/3", "redis://h/3"),
            ("unix:///s/r.sock?db=1&pass=p&user=u", "unix:///s/r.sock?db=1&user=u"),
        ] {
            assert_eq!(without_password(url), expected);
        }
    }

    #[test]
    fn detects_password_in_url() {
        for url in ["redis://u:p@h", "redis://:p@h:1/0", "unix:///s?pass=p"] {
            assert!(holds_password(url), "{url}");
        }
        for url in ["redis://u@h", "redis://h:6379", "redis://[::1]:6379/0"] {
            assert!(!holds_password(url), "{url}");
        }
    }
}
