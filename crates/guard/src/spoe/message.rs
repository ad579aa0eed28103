//! Reads the message `check-token` as a question.

use caracal_revocation::gateway::RequestDenialKind;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Uri};
use spop::TypedData;
use spop::frame::Message;

use crate::decider::{Question, question};

/// The name of the message in `spoe.conf`.
const MESSAGE: &str = "check-token";

/// The message is not the one that the documentation configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error("the frame must hold one message, `check-token`")]
    Message,
    #[error("the argument `{0}` of `check-token` is missing, repeated or of the wrong type")]
    Argument(&'static str),
}

/// A request that HAProxy describes.
#[derive(Debug)]
pub(super) enum Described {
    Question(Question),
    /// A client sent text that no question can hold.
    Denied(RequestDenialKind, Question),
}

/// Reads the messages of a frame.
pub(super) fn read(messages: &[Message]) -> Result<Described, MessageError> {
    let [message] = messages else { return Err(MessageError::Message) };
    if message.name != MESSAGE {
        return Err(MessageError::Message);
    }
    let method = text(message, "method")?.ok_or(MessageError::Argument("method"))?;
    let method = Method::from_bytes(method.as_bytes());
    let method = method.map_err(|_| MessageError::Argument("method"))?;
    let uri = text(message, "uri")?.ok_or(MessageError::Argument("uri"))?;

    let mut described = HeaderMap::new();
    if let Some(Ok(id)) = text(message, "request_id")?.map(HeaderValue::from_str) {
        described.insert("x-request-id", id);
    }
    let question = |uri, described: &HeaderMap| question(method.clone(), uri, described);
    // The denial of more than one header is a rule of the layer: it is shown two of them.
    for _ in 0..count(message)?.min(2) {
        let value = text(message, "auth")?.ok_or(MessageError::Argument("auth"))?;
        let Ok(value) = HeaderValue::from_str(value) else {
            let kind = RequestDenialKind::MalformedHeader;
            return Ok(Described::Denied(kind, question(Uri::default(), &described)));
        };
        described.append(AUTHORIZATION, value);
    }
    // `Uri` drops a fragment, which the service behind could read as a part of the path.
    match uri.parse::<Uri>() {
        Ok(parsed) if uri.is_ascii() && !uri.contains('#') => {
            Ok(Described::Question(question(parsed, &described)))
        }
        _ => {
            let kind = RequestDenialKind::AmbiguousPath;
            Ok(Described::Denied(kind, question(Uri::default(), &described)))
        }
    }
}

/// Returns the number of `Authorization` headers.
fn count(message: &Message) -> Result<u64, MessageError> {
    let problem = MessageError::Argument("acnt");
    let count = match argument(message, "acnt")? {
        Some(TypedData::Int32(count)) => u64::try_from(*count),
        Some(TypedData::UInt32(count)) => Ok(u64::from(*count)),
        Some(TypedData::Int64(count)) => u64::try_from(*count),
        Some(TypedData::UInt64(count)) => Ok(*count),
        _ => return Err(problem),
    };
    let count = count.map_err(|_| problem)?;
    let is_there = text(message, "auth")?.is_some();
    if is_there == (count > 0) { Ok(count) } else { Err(MessageError::Argument("auth")) }
}

/// Returns the text of an argument, or `None` if HAProxy found no value for it.
fn text<'m>(message: &'m Message, name: &'static str) -> Result<Option<&'m str>, MessageError> {
    match argument(message, name)? {
        None | Some(TypedData::Null) => Ok(None),
        Some(TypedData::String(text)) => Ok(Some(text)),
        Some(_) => Err(MessageError::Argument(name)),
    }
}

/// Returns an argument. `Message::get` would return the first of a repeated one.
fn argument<'m>(
    message: &'m Message,
    name: &'static str,
) -> Result<Option<&'m TypedData>, MessageError> {
    let mut all = message.args.iter().filter(|(key, _)| key == name);
    match (all.next(), all.next()) {
        (first, None) => Ok(first.map(|(_, value)| value)),
        _ => Err(MessageError::Argument(name)),
    }
}
