//! The receipts of a whole fleet, read.

use caracal_revocation_stream::internal::{Connection, LogError, RECEIPT_PREFIX, reply};
use caracal_revocation_stream::{InspectError, Receipt};
use redis::{Pipeline, Value};

use crate::inspector::Inspector;

const UNLIKE: LogError = LogError::Reply("SCAN is not as expected");

impl Inspector {
    /// The receipts of every replica that wrote one within the last 15 seconds, by name.
    ///
    /// What is no receipt, though it stands under such a key, is left out.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not answer, or does not let this user `SCAN` and `MGET`.
    pub async fn receipts(&mut self) -> Result<Vec<Receipt>, InspectError> {
        let mut values = Vec::new();
        for node in self.links.everywhere().await? {
            let connection = self.links.at(node).await?;
            let mut commands = Pipeline::new();
            for key in keys(connection).await? {
                // One by one: in a cluster, those of one server are not of one slot.
                commands.cmd("MGET").arg(key);
            }
            if !commands.is_empty() {
                values.extend(connection.tell(&commands).await?);
            }
        }
        let mut receipts: Vec<Receipt> = Vec::new();
        for answer in &values {
            let Value::Array(values) = answer else { return Err(UNLIKE.into()) };
            let texts = values.iter().filter_map(|value| reply::text(value).ok());
            receipts.extend(texts.filter_map(|text| serde_json::from_str(&text).ok()));
        }
        receipts.sort_unstable_by(|one, other| one.replica.cmp(&other.replica));
        Ok(receipts)
    }
}

/// The keys of the receipts on one server.
async fn keys(connection: &mut Connection) -> Result<Vec<String>, LogError> {
    let mut keys = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut commands = Pipeline::new();
        let scan = commands.cmd("SCAN").arg(&cursor);
        scan.arg("MATCH").arg(format!("{RECEIPT_PREFIX}*")).arg("COUNT").arg(1_000);
        let answers = connection.tell(&commands).await?;
        let Some(Value::Array(parts)) = answers.into_iter().next() else { return Err(UNLIKE) };
        let [next, Value::Array(found)] = parts.as_slice() else { return Err(UNLIKE) };
        for key in found {
            keys.push(reply::text(key)?);
        }
        cursor = reply::text(next)?;
        if cursor == "0" {
            // A key may be told twice.
            keys.sort_unstable();
            keys.dedup();
            return Ok(keys);
        }
    }
}
