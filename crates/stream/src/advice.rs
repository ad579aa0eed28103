//! The advice for an error of Redis, chosen by the cause that its text names.

use caracal_revocation_state::OutageCause;

use crate::log_error::LogError;

/// Advice by the code of the server's error answer.
const CODES: [(&str, &str); 4] = [
    (
        "BUSY",
        "a script blocks the server: wait until it ends, or end it with SCRIPT KILL (a function \
         with FUNCTION KILL)",
    ),
    ("ASK", MOVING),
    ("TRYAGAIN", MOVING),
    ("CLUSTERDOWN", "the cluster does not serve every slot: check CLUSTER INFO and CLUSTER NODES"),
];

const MOVING: &str = "a slot is moving between two nodes of the cluster: wait until the move is \
                      complete; if it does not complete, end it with redis-cli --cluster fix";

/// Advice by a part of the error text of the server or the TLS library.
const BY_TEXT: [(&str, &str); 8] = [
    (
        "max number of clients",
        "the server has reached its limit of connections: raise maxclients in Redis, or find the \
         clients that hold them with CLIENT LIST",
    ),
    (
        "UnknownIssuer",
        "no trusted authority signed the server's certificate: set REDIS_TLS_CA_FILE to the \
         certificate of the authority that signed it",
    ),
    (
        "not valid for name",
        "the server's certificate is for another name: use one of its names in the address, or \
         issue a certificate for this one",
    ),
    ("certificate expired", EXPIRED),
    ("Expired", EXPIRED),
    (
        "CertificateRequired",
        "the server asks for a certificate: set REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE",
    ),
    (
        "InvalidContentType",
        "the server does not speak TLS at this port: use its TLS port, or redis:// instead of \
         rediss://",
    ),
    (
        "UnknownCA",
        "the server does not trust the authority of the client certificate: check \
         REDIS_TLS_CERT_FILE, and the server's tls-ca-cert-file",
    ),
];

const EXPIRED: &str =
    "the server's certificate is no longer valid: renew it, or check the clocks of both sides";

/// Parts of the error text of a connection that ended.
const ENDED: [&str; 3] = ["broken pipe", "reset by peer", "end of file"];

/// Returns the advice for this error. It is more specific than that of the cause if the text is
/// known.
pub(crate) fn of(error: &LogError) -> &'static str {
    let message = match error {
        LogError::Redis(message) => message,
        LogError::Connection(_, message)
        | LogError::Sentinel(_, message)
        | LogError::Cluster(_, message)
        | LogError::Primary(_, message) => message,
        _ => "",
    };
    let code = message.strip_prefix("Redis: ").unwrap_or(message).split_whitespace().next();
    let by_code = CODES.iter().find(|(named, _)| code == Some(*named));
    let by_text = || BY_TEXT.iter().find(|(part, _)| message.contains(part));
    if let Some((_, advice)) = by_code.or_else(by_text) {
        return advice;
    }
    match (error, error.outage()) {
        (LogError::Connection(..), OutageCause::Unreachable)
            if ENDED.iter().any(|end| message.to_lowercase().contains(end)) =>
        {
            "the server or a proxy closed the connection: check if this port expects TLS \
             (rediss://) or a client certificate (REDIS_TLS_CERT_FILE), and if maxclients is \
             reached"
        }
        (LogError::Connection(..), OutageCause::Unreachable) => {
            "check that Redis runs there, and check REDIS_URL, REDIS_SENTINELS, \
             REDIS_CLUSTER_NODES, or REDIS_HOST and REDIS_PORT"
        }
        (_, outage) => outage.advice(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advises_by_error_text() {
        let redis = |message: &str| LogError::Redis(message.into());
        let tls = |message: &str| LogError::Connection(OutageCause::Tls, message.into());
        let ended = |message: &str| LogError::Connection(OutageCause::Unreachable, message.into());
        let sentinel = |message: &str| LogError::Sentinel(OutageCause::Other, message.into());
        for (error, part) in [
            (redis("BUSY Redis is busy running a script."), "SCRIPT KILL"),
            (sentinel("Redis: BUSY Redis is busy running a script."), "SCRIPT KILL"),
            (redis("ERR max number of clients reached"), "maxclients"),
            (redis("ASK 13713 10.0.0.7:6379"), "slot is moving"),
            (redis("TRYAGAIN Multiple keys request during rehashing of slot"), "slot is moving"),
            (redis("MOVED 13713 10.0.0.7:6379"), "REDIS_CLUSTER_NODES"),
            (redis("CLUSTERDOWN Hash slot not served"), "CLUSTER INFO"),
            (tls("invalid peer certificate: UnknownIssuer"), "REDIS_TLS_CA_FILE"),
            (tls("received fatal alert: CertificateRequired"), "REDIS_TLS_CERT_FILE"),
            (tls("invalid peer certificate: certificate not valid for name \"h\""), "another name"),
            (tls("something else"), "REDIS_TLS_CA_FILE"),
            (ended("Connection reset by peer (os error 104)"), "rediss://"),
            (ended("Connection refused (os error 111)"), "REDIS_HOST and REDIS_PORT"),
            (redis("LOADING Redis is loading the dataset in memory"), "wait"),
            (LogError::Behind, "wait"),
        ] {
            assert!(of(&error).contains(part), "{error}: {}", of(&error));
        }
    }
}
