//! Answers denied requests: one function for every layer, in JSON or in gRPC's terms.
//!
//! For the crates of this project. Users find the answers in the documentation of the layers.

mod caller;
mod grpc;
mod request_id;
mod respond;

pub use caller::{Caller, came_through_proxy, has_trailers, is_grpc};
pub use grpc::{GrpcStatus, code_of};
pub use request_id::{RequestId, X_REQUEST_ID};
pub use respond::{Answer, respond};
