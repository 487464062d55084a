//! What writes overwrote, so that they can be taken back.

use super::{SimArenas, SimBlock, SimPool};
use crate::arena::PoolHeader;

/// Headers and links as they were before they were written, in order, by pool and by block number.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteLog {
    headers: Vec<(u32, PoolHeader<SimPool, SimBlock>)>,
    links: Vec<(u32, u16)>,
}

impl WriteLog {
    /// How much it holds now.
    pub(crate) fn position(&self) -> LogPosition {
        LogPosition { headers: self.headers.len(), links: self.links.len() }
    }

    /// Drops what was taken down before a position.
    pub(crate) fn forget_before(&mut self, position: LogPosition) {
        self.headers.drain(..position.headers);
        self.links.drain(..position.links);
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.headers.as_slice()) + size_of_val(self.links.as_slice())
    }
}

/// A position in a [`WriteLog`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogPosition {
    headers: usize,
    links: usize,
}

impl LogPosition {
    /// The same position after what lies before `start` was dropped.
    pub(crate) fn after(self, start: Self) -> Self {
        Self { headers: self.headers - start.headers, links: self.links - start.links }
    }
}

impl SimArenas {
    /// From now on what is overwritten is taken down; `None` ends that. Gives back the log there was.
    pub(crate) fn log_to(&mut self, log: Option<Box<WriteLog>>) -> Option<Box<WriteLog>> {
        std::mem::replace(&mut self.log, log)
    }

    /// Takes back what was written since a position.
    pub(crate) fn take_back(&mut self, log: &mut WriteLog, position: LogPosition) {
        for (at, header) in log.headers.drain(position.headers..).rev() {
            self.pools[at as usize] = header;
            self.dirty[at as usize] = 1;
        }
        for (at, link) in log.links.drain(position.links..).rev() {
            self.links[at as usize] = link;
            self.dirty[(at >> self.units_bits) as usize] = 1;
        }
    }

    #[inline]
    pub(super) fn log_header(&mut self, at: u32) {
        if self.log.is_some() {
            self.take_down_header(at);
        }
    }

    #[inline]
    pub(super) fn log_link(&mut self, at: u32) {
        if self.log.is_some() {
            self.take_down_link(at);
        }
    }

    // Out of the way: a replay that nobody steps through only passes by.
    #[cold]
    #[inline(never)]
    fn take_down_header(&mut self, at: u32) {
        if let Some(log) = &mut self.log {
            log.headers.push((at, self.pools[at as usize]));
        }
    }

    #[cold]
    #[inline(never)]
    fn take_down_link(&mut self, at: u32) {
        if let Some(log) = &mut self.log {
            log.links.push((at, self.links[at as usize]));
        }
    }
}
