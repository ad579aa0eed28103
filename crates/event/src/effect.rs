//! The changes of an event in serialized form, which tools print and test vectors compare.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::change::Change;

/// The effect of an event. It serializes as a map with only the keys that apply: `revoke`,
/// `suspend`, `resume`, `epoch`, `forget_keys`, `reload_policy`.
///
/// ```
/// use caracal_revocation_event::{KeyRing, Message, Stream};
/// let fields: [(&[u8], &[u8]); 2] = [(b"sid", b"ar-1"), (b"agent_session_id", b"gs-1")];
/// let message = Message::new(Stream::SessionsRevoke, &fields);
/// let event = KeyRing::insecure_accept_unsigned().verify(&message)?;
/// let effect = serde_json::to_string(&event.effect()).unwrap();
/// assert_eq!(effect, r#"{"revoke":["ar-1","gs-1"]}"#);
/// # Ok::<(), caracal_revocation_event::MessageRejection>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Effect<'e>(&'e [Change<'e>]);

impl<'e> Effect<'e> {
    pub(crate) const fn of(changes: &'e [Change<'e>]) -> Self {
        Self(changes)
    }
}

impl Serialize for Effect<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let revoked: Vec<&str> = self
            .0
            .iter()
            .filter_map(|change| match change {
                Change::Revoke(anchor) => Some(anchor.as_str()),
                _ => None,
            })
            .collect();
        if !revoked.is_empty() {
            map.serialize_entry("revoke", &revoked)?;
        }
        for change in self.0 {
            match change {
                Change::Revoke(_) => {}
                Change::Suspend(suspension) => {
                    map.serialize_entry(
                        "suspend",
                        &(suspension.session.as_str(), suspension.occurred.to_string()),
                    )?;
                }
                Change::Resume(resumption) => {
                    map.serialize_entry(
                        "resume",
                        &(resumption.session.as_str(), resumption.occurred.to_string()),
                    )?;
                }
                Change::DelegationEpoch(delegations) => {
                    map.serialize_entry("epoch", &(delegations.zone.as_str(), delegations.epoch))?;
                }
                Change::ForgetKeys(zone) => map.serialize_entry("forget_keys", zone.as_str())?,
                Change::ReloadPolicy(reload) => {
                    map.serialize_entry("reload_policy", reload.zone.as_str())?;
                }
            }
        }
        map.end()
    }
}
