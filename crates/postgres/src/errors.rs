//! Error texts of a read: what failed, and where to look.

use std::error::Error as _;
use std::time::Duration;

use caracal_revocation_stream::BaselineError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::settings::{CA_FILE, URL};

/// Describes an error of a read of the baseline.
pub(crate) fn query_error(error: &Error) -> BaselineError {
    describe(error, "grant the role the columns in the crate's grants.sql")
}

/// Describes an error of a selection. Its role has other rights than that of the baseline.
pub(crate) fn selection_query_error(error: &Error) -> BaselineError {
    describe(error, "grant the role the columns in the crate's grants_revoke.sql")
}

fn describe(error: &Error, missing_right: &str) -> BaselineError {
    let Some(reply) = error.as_db_error() else {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let text = error.to_string();
        let cause = if text.ends_with(&cause) { "" } else { &cause };
        let advice = if format!("{text}{cause}").contains("UnknownIssuer") {
            format!("; name the authority that issued its certificate in {CA_FILE}")
        } else {
            String::new()
        };
        return BaselineError::new(
            URL,
            format!("Postgres cannot be reached: {text}{cause}{advice}"),
        );
    };
    let advice = match *reply.code() {
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => {
            "is this Caracal's database, and is its schema on the search path?"
        }
        SqlState::INSUFFICIENT_PRIVILEGE => missing_right,
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "the user or password is not accepted"
        }
        SqlState::QUERY_CANCELED => "reading took longer than its deadline",
        _ => "",
    };
    let reply = format!("Postgres answers {}: {}", reply.code().code(), reply.message());
    let space = if advice.is_empty() { "" } else { "; " };
    BaselineError::new(URL, format!("{reply}{space}{advice}"))
}

pub(crate) fn timed_out(deadline: Duration) -> BaselineError {
    let seconds = deadline.as_secs_f64();
    BaselineError::new(URL, format!("Postgres was not read completely within {seconds} s"))
}

pub(crate) fn standby() -> BaselineError {
    BaselineError::new(
        URL,
        "this is a standby, which may lag behind: no gap is closed. Use the primary's address",
    )
}

pub(crate) fn hidden(table: &str) -> BaselineError {
    BaselineError::new(
        URL,
        format!(
            "row level security may hide rows of {table}: give the role Caracal's zone policy only"
        ),
    )
}

pub(crate) fn unreadable(table: &str, id: &str, why: &str) -> BaselineError {
    BaselineError::new(
        URL,
        format!("message {id} in {table} is not read completely ({why}): no gap is closed"),
    )
}
