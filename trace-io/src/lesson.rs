//! stub
use crate::TraceError;
use sim_core::Trace;
/// stub
pub fn parse(_n: &str, _t: &[u8]) -> Result<Trace, TraceError> {
    Err(TraceError::Empty)
}
