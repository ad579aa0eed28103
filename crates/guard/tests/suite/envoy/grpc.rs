//! The protocol itself, with a client of gRPC in place of Envoy.
