//! What went wrong, in words that say where to look.

use std::error::Error as _;
use std::time::Duration;

use caracal_revocation_stream::BaselineError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::settings::{CA_FILE, URL};

pub(crate) fn refused(error: &Error) -> BaselineError {
    let Some(answer) = error.as_db_error() else {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let said = error.to_string();
        let cause = if said.ends_with(&cause) { "" } else { &cause };
        let advice = if format!("{said}{cause}").contains("UnknownIssuer") {
            format!("; name the authority that issued its certificate in {CA_FILE}")
        } else {
            String::new()
        };
        return BaselineError::new(
            URL,
            format!("Postgres cannot be reached: {said}{cause}{advice}"),
        );
    };
    let advice = match *answer.code() {
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => {
            "is this Caracal's database, and is its schema on the search path?"
        }
        SqlState::INSUFFICIENT_PRIVILEGE => "grant its role what the crate's grants.sql says",
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "its user or password is not accepted"
        }
        SqlState::QUERY_CANCELED => "reading took longer than its deadline",
        _ => "",
    };
    let answer = format!("Postgres answers {}: {}", answer.code().code(), answer.message());
    let space = if advice.is_empty() { "" } else { "; " };
    BaselineError::new(URL, format!("{answer}{space}{advice}"))
}

pub(crate) fn late(deadline: Duration) -> BaselineError {
    let seconds = deadline.as_secs_f64();
    BaselineError::new(URL, format!("Postgres was not read to the end within {seconds} s"))
}

pub(crate) fn standby() -> BaselineError {
    BaselineError::new(
        URL,
        "it leads to a standby, which may lag behind: nothing is closed by it. Use the primary",
    )
}

pub(crate) fn hidden(table: &str) -> BaselineError {
    BaselineError::new(
        URL,
        format!(
            "row level security may hide rows of {table} from its role: no policy lets it see them"
        ),
    )
}

pub(crate) fn unreadable(table: &str, id: &str, why: &str) -> BaselineError {
    BaselineError::new(
        URL,
        format!(
            "the message {id} in {table} cannot be understood whole ({why}): no hole is closed"
        ),
    )
}
