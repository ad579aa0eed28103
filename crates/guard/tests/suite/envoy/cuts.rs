//! Running requests are cut.
