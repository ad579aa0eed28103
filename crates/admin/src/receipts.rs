//! Reads the receipts of all replicas of a fleet.

use caracal_revocation_stream::internal::{Connection, LogError, RECEIPT_PREFIX, reply};
use caracal_revocation_stream::{InspectError, Receipt};
use redis::{Pipeline, Value};

use crate::inspector::Inspector;

const UNEXPECTED_REPLY: LogError = LogError::Reply("SCAN is not as expected");

impl Inspector {
    /// Returns the receipt of every replica that wrote one within the last 15 seconds, sorted by
    /// the replica's name. Skips values that are not receipts.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached, or if this user lacks the right to `SCAN` or
    /// `MGET`.
    pub async fn receipts(&mut self) -> Result<Vec<Receipt>, InspectError> {
        let mut values = Vec::new();
        for node in self.links.everywhere().await? {
            let connection = self.links.at(node).await?;
            let mut commands = Pipeline::new();
            for key in keys(connection).await? {
                // One `MGET` per key: in a cluster, the keys of one node are in different slots.
                commands.cmd("MGET").arg(key);
            }
            if !commands.is_empty() {
                values.extend(connection.run(&commands).await?);
            }
        }
        let mut receipts: Vec<Receipt> = Vec::new();
        for answer in &values {
            let Value::Array(values) = answer else { return Err(UNEXPECTED_REPLY.into()) };
            let texts = values.iter().filter_map(|value| reply::text(value).ok());
            receipts.extend(texts.filter_map(|text| serde_json::from_str(&text).ok()));
        }
        receipts.sort_unstable_by(|one, other| one.replica.cmp(&other.replica));
        Ok(receipts)
    }
}

/// Returns the keys of the receipts on one server.
async fn keys(connection: &mut Connection) -> Result<Vec<String>, LogError> {
    let mut keys = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut commands = Pipeline::new();
        let scan = commands.cmd("SCAN").arg(&cursor);
        scan.arg("MATCH").arg(format!("{RECEIPT_PREFIX}*")).arg("COUNT").arg(1_000);
        let answers = connection.run(&commands).await?;
        let Some(Value::Array(parts)) = answers.into_iter().next() else {
            return Err(UNEXPECTED_REPLY);
        };
        let [next, Value::Array(found)] = parts.as_slice() else { return Err(UNEXPECTED_REPLY) };
        for key in found {
            keys.push(reply::text(key)?);
        }
        cursor = reply::text(next)?;
        if cursor == "0" {
            // `SCAN` may return a key twice.
            keys.sort_unstable();
            keys.dedup();
            return Ok(keys);
        }
    }
}
