//! The answer to a denied request, in JSON or over gRPC. All layers share the table, the request id
//! and the response.

mod client;
mod denial;
mod grpc;
mod request_id;
mod respond;
mod table;

#[cfg(fuzzing)]
pub(crate) use client::has_trailers;
pub(crate) use client::{ClientCapabilities, came_through_proxy, is_grpc};
pub(crate) use denial::Denial;
pub(crate) use grpc::GrpcStatus;
pub(crate) use request_id::RequestId;
pub use request_id::request_id;
#[cfg(feature = "opa")]
pub(crate) use respond::{Content, respond};
#[cfg(feature = "opa")]
pub(crate) use table::policy;
pub(crate) use table::{Alert, Profile};
