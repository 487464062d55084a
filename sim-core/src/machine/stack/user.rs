//! Tables of the scenario's own.

use super::{Called, Stack, segfault};
use crate::addr::Addr;
use crate::arena::ArenaBackend;
use crate::domains::{Domain, UserAllocator};
use crate::event::{Event, Function, NullReason, Observer};

impl<A: ArenaBackend, O: Observer> Stack<'_, A, O> {
    pub(super) fn user_alloc(
        &mut self,
        at: u16,
        domain: Domain,
        function: Function,
        nbytes: u64,
    ) -> Called<Addr> {
        let user = &mut self.layers.user[usize::from(at)];
        if user.note(function as usize, nbytes) {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory });
            return Ok(Addr(0));
        }
        let (inner, kind) = (user.inner, user.kind);
        match kind {
            UserAllocator::Bump { bytes } => Ok(self.bump(at, bytes, nbytes)),
            _ if function == Function::Calloc => self.table_calloc(inner, domain, nbytes),
            _ => self.table_malloc(inner, domain, nbytes),
        }
    }

    pub(super) fn user_realloc(&mut self, at: u16, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        let user = &mut self.layers.user[usize::from(at)];
        if user.note(Function::Realloc as usize, nbytes) {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory });
            return Ok(Addr(0));
        }
        let (inner, kind) = (user.inner, user.kind);
        let UserAllocator::Bump { bytes } = kind else {
            return self.table_realloc(inner, domain, p, nbytes);
        };
        let new = self.bump(at, bytes, nbytes);
        if p != Addr(0) && new != Addr(0) {
            // It does not know the old size; it copies what may be there, up to the new one.
            let known = new.bytes_from(p).min(nbytes);
            self.layers.bytes.copy(p, new, known).map_err(|e| segfault(e, "copying"))?;
        }
        Ok(new)
    }

    fn bump(&mut self, at: u16, room: u64, nbytes: u64) -> Addr {
        let base = Addr(0x6000_0000_0000 + (u64::from(at) << 36));
        let user = &mut self.layers.user[usize::from(at)];
        let wanted = nbytes.max(1).next_multiple_of(16);
        if room - user.used_bytes < wanted {
            return Addr(0);
        }
        if user.used_bytes == 0 {
            self.layers.bytes.map(base, room);
        }
        let p = base.offset(user.used_bytes);
        user.used_bytes += wanted;
        p
    }
}
