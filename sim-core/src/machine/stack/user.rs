//! Tables of the scenario's own.

use super::{Called, Stack, segfault};
use crate::addr::Addr;
use crate::arena::ArenaBackend;
use crate::domains::{Domain, LoggedCall, UserAllocator};
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
        let p = match kind {
            UserAllocator::Bump { bytes } => self.bump(at, bytes, nbytes),
            _ if function == Function::Calloc => self.table_calloc(inner, domain, nbytes)?,
            _ => self.table_malloc(inner, domain, nbytes)?,
        };
        self.log(at, function, Addr(0), nbytes, p);
        Ok(p)
    }

    pub(super) fn user_free(&mut self, at: u16, domain: Domain, p: Addr) -> Called<()> {
        let user = &mut self.layers.user[usize::from(at)];
        user.note(Function::Free as usize, 0);
        let (inner, kind) = (user.inner, user.kind);
        if !matches!(kind, UserAllocator::Bump { .. }) {
            self.table_free(inner, domain, p)?;
        }
        self.log(at, Function::Free, p, 0, Addr(0));
        Ok(())
    }

    /// Notes a call in the log, if the table is a logging one.
    fn log(&mut self, at: u16, function: Function, ptr: Addr, nbytes: u64, result: Addr) {
        let user = &self.layers.user[usize::from(at)];
        if user.kind == UserAllocator::Log {
            let number = user.calls.iter().sum::<u64>() - 1;
            let function = function as u8;
            self.layers.note_logged(LoggedCall { number, table: at, function, ptr, nbytes, result });
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
            let new = self.table_realloc(inner, domain, p, nbytes)?;
            self.log(at, Function::Realloc, p, nbytes, new);
            return Ok(new);
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
